"""Interventions as text: the grammar takes what it says, and nothing else."""

from __future__ import annotations

import pytest

import retinoscope as rs
from retinoscope.data import Sample, embedded_scenes, load_image, object_mask
from retinoscope.errors import DataError, RetinoscopeError
from retinoscope.scoring import parse


@pytest.fixture(scope="module")
def sample() -> Sample:
    return embedded_scenes(10, seed=2).samples[4]


@pytest.fixture(scope="module")
def view(sample: Sample) -> rs.View:
    return rs.load("embedded").look(load_image(sample), "Is there a pizza in this image?")


def under(view: rs.View, sample: Sample) -> rs.TokenSet:
    first, *rest = [view.tokens.under(object_mask(sample, one)) for one in sample.annotations]
    for one in rest:
        first |= one
    return first


def test_an_expression_is_what_python_would_make(view: rs.View, sample: Sample) -> None:
    objects = under(view, sample)
    everything = view.tokens.visual
    for text, meant in {
        "Ablate(objects)": rs.Ablate(objects),
        "Ablate(objects.dilate(1), 'zero')": rs.Ablate(objects.dilate(1), "zero"),
        "Ablate(background, Noise(3))": rs.Ablate(everything - objects.dilate(1), rs.Noise(3)),
        "Ablate(tokens.row(-1) | tokens.box(0, 0, 40, 40))": rs.Ablate(
            view.tokens.row(-1) | view.tokens.box(0, 0, 40, 40)
        ),
        "Knockout(last, ~objects, range(3, 6))": rs.Knockout(view.last, ~objects, range(3, 6)),
        "Knockout(last, objects, layers, heads=[0, 1])": rs.Knockout(
            view.last, objects, range(8), heads=[0, 1]
        ),
    }.items():
        (found,) = parse(text).on(view, sample)
        assert rs.yes(view, found).log_odds == rs.yes(view, meant).log_odds, text
    assert len(parse("(Ablate(objects), Knockout(last, text, 3))").on(view, sample)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "Ablate(__import__('os'))",
        "Ablate(tokens.__class__)",
        "Ablate(tokens.recording)",
        "Ablate(tokens.under('/etc/passwd'))",
        "Ablate(tokens.draw(10 ** 10, 0))",
        "Ablate(tokens.draw(10000000000, 0))",
        "Ablate([x for x in tokens])",
        "Ablate(**{'tokens': tokens})",
        "Ablate((lambda: tokens)())",
        "Ablate(tokens if 1 else last)",
        "Ablate(tokens)[0]",
        "Ablate(f'{tokens}')",
        "open('x')",
        "tokens",
        "Steer(tokens, 1, 2)",
        "Ablate(dog)",
        "Ablate(",
        "",
        "Ablate(tokens" + " | tokens" * 500 + ")",
        "Ablate(" + "~" * 990 + "tokens)",
        "\0",
    ],
)
def test_nothing_else_is_taken(text: str, view: rs.View, sample: Sample) -> None:
    with pytest.raises(DataError):
        parse(text).on(view, sample)


@pytest.mark.parametrize(
    "text",
    ["Ablate()", "Ablate(tokens.row())", "Ablate(tokens | 5)", "Ablate(-tokens)", "Ablate('x')"],
)
def test_what_makes_no_intervention_says_what_is_expected(
    text: str, view: rs.View, sample: Sample
) -> None:
    with pytest.raises(RetinoscopeError):
        rs.yes(view, parse(text).on(view, sample))
