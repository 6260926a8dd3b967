"""What interventions touch, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from retinoscope.errors import InterventionError
from retinoscope.geometry import PatchGrid, Tile
from retinoscope.interventions import (
    Ablate,
    Edge,
    Knockout,
    Noise,
    Patch,
    Site,
    Steer,
    Write,
    as_condition,
    as_conditions,
    resolve,
)
from retinoscope.interventions.edits import whole_numbers
from retinoscope.tokens import TokenLayout, VisualSpan, at

# Positions 2 to 7 show the halves, from left to right and top to bottom, of an image of 4 x 6.
LAYOUT = TokenLayout(
    10, (VisualSpan(tuple(range(2, 8)), PatchGrid((4, 6), (Tile(3, 2, (0, 0, 4, 6)),))),)
)


@dataclass
class CleanRun:
    """A context without a model."""

    length: int = 10
    layer_count: int = 4
    head_count: int = 2
    mean_token: Tensor | None = None
    stream: Tensor = field(default_factory=lambda: torch.randn(5, 10, 6))

    @property
    def layout(self) -> TokenLayout:
        return LAYOUT

    def residual(self, layer: int) -> Tensor:
        return self.stream[layer]

    def state_shape(self, site: Site) -> tuple[int, ...]:
        return (6,)


def test_ablate_writes_the_value_at_the_input():
    run = CleanRun(mean_token=torch.arange(6.0))
    for ablate, wanted in (
        (Ablate([5, 3], "mean"), torch.arange(6.0)),
        (Ablate([5, 3], "zero"), torch.zeros(6)),
    ):
        (write,) = ablate.edits(run)
        assert (str(write.site), write.positions, write.add) == ("resid_pre.0", (3, 5), False)
        assert torch.equal(write.value, wanted.expand(2, 6))


def test_noise_keeps_each_norm_and_follows_from_its_seed():
    run = CleanRun()
    (write,) = Ablate([2, 7], Noise(1)).edits(run)
    clean = run.residual(0)[[2, 7]]
    assert isinstance(write.value, torch.Tensor)
    assert torch.allclose(write.value.norm(dim=-1), clean.norm(dim=-1))
    assert not torch.allclose(write.value, clean)
    (again,) = Ablate([2, 7], Noise(1)).edits(run)
    (other,) = Ablate([2, 7], Noise(2)).edits(run)
    assert torch.equal(write.value, again.value)
    assert not torch.equal(write.value, other.value)


def test_vectors_go_to_positions_in_ascending_order():
    vectors = torch.randn(2, 6)
    (write,) = Patch([7, 2], 4, vectors).edits(CleanRun())
    assert write.positions == (2, 7)
    assert torch.equal(write.value, vectors)


def test_steer_adds_a_scaled_direction():
    (write,) = Steer([1], 2, torch.ones(6), scale=3.0).edits(CleanRun())
    assert write.add
    assert torch.equal(write.value, torch.full((1, 6), 3.0))


def test_knockout_blocks_each_layer():
    edges = Knockout([9], [1, 2], range(1, 3), heads=[1]).edits(CleanRun())
    assert [(b.layer, b.queries, b.keys, b.heads) for b in edges] == [
        (1, (9,), (1, 2), (1,)),
        (2, (9,), (1, 2), (1,)),
    ]
    every = Knockout([9], [1]).edits(CleanRun())
    assert every == Knockout([9], [1], range(CleanRun().layer_count)).edits(CleanRun())


def test_a_condition_is_all_of_its_interventions():
    run = CleanRun()
    both = resolve((Ablate([1], "zero"), Knockout([9], [1], [0])), run)
    assert [type(edit) for edit in both] == [Write, Edge]
    assert resolve((), run) == ()


@pytest.mark.parametrize(
    ("intervention", "message"),
    [
        (Ablate([], "zero"), "empty set"),
        (Ablate([10], "zero"), "positions 0..9"),
        (Ablate([-1], "zero"), "positions 0..9"),
        (Ablate([1, 1], "zero"), "twice"),
        (Ablate([1]), "mean visual token"),
        (Ablate([1, 2], torch.zeros(3, 6)), r"\[3, 6\]"),
        (Ablate([1], torch.full((6,), torch.nan)), "not finite"),
        (Patch([1], 5, torch.zeros(6)), "0..4"),
        (Steer([1], -1, torch.zeros(6)), "0..4"),
        (Knockout([9], [1], []), "0..3"),
        (Knockout([9], [1], [4]), "0..3"),
        (Knockout([9], [1], [0], heads=[2]), "0..1"),
        (Knockout([9], [1], [0], heads=[]), "0..1"),
        (Knockout([9], [1], [0], heads=[-1]), "0..1"),
        (Knockout([9], [1], [True]), "whole number"),
        (Ablate([False, True, True], "zero"), "each of its 10 positions; got 3"),
        (Knockout([], [1], [0]), "empty set"),
        (Knockout([9], [], [0]), "empty set"),
    ],
)
def test_what_cannot_be_applied_is_refused(intervention, message):
    with pytest.raises(InterventionError, match=message):
        intervention.edits(CleanRun())


def test_one_intervention_is_a_condition_of_one():
    ablate = Ablate([1], "zero")
    assert as_condition(ablate) == (ablate,)
    assert as_condition([ablate]) == (ablate,)


def test_whole_numbers_of_other_libraries_are_plain_ones():
    for numbers in (np.array([3, 5]), torch.tensor([3, 5]), [np.int64(3), torch.tensor(5)]):
        found = whole_numbers(numbers, "Ablate")
        assert found == [3, 5]
        assert all(type(number) is int for number in found)
    for alone in (3, np.int64(3), torch.tensor(3)):
        assert whole_numbers(alone, "Knockout") == [3]
    for wrong in (
        [2.0],
        2.0,
        "2",
        ["2"],
        [None],
        np.array([True]),
        torch.tensor([True]),
        [np.bool_(1)],
    ):
        with pytest.raises(InterventionError, match="whole number"):
            whole_numbers(wrong, "Ablate")


def pixels(*patches: int) -> np.ndarray:
    """A mask of an image of 4 x 6 pixels, one pixel in the middle of each patch."""
    mask = np.zeros((6, 4), dtype=bool)
    for patch in patches:
        mask[patch // 2 * 2, patch % 2 * 2] = True
    return mask


def of_sequence(*positions: int) -> torch.Tensor:
    return torch.isin(torch.arange(10), torch.tensor(positions))


@pytest.mark.parametrize(
    "tokens",
    [
        at(LAYOUT, [3, 6]),
        [6, 3],
        {3, 6},
        range(3, 7, 3),
        np.array([3, 6], dtype=np.int32),
        torch.tensor([6, 3]),
        (torch.tensor(3), np.int64(6)),
        of_sequence(3, 6),
        of_sequence(3, 6).numpy(),
        of_sequence(3, 6).tolist(),
        pixels(1, 4),
        torch.from_numpy(pixels(1, 4)),
        at(TokenLayout(14, LAYOUT.spans), [3, 6]),  # the same image, another question behind it
    ],
    ids=lambda tokens: type(tokens).__name__,
)
def test_whatever_names_tokens_names_the_same(tokens):
    run = CleanRun()
    for intervention in (Ablate(tokens, "zero"), Steer(tokens, 1, torch.ones(6))):
        (write,) = intervention.edits(run)
        assert write.positions == (3, 6)
    (block,) = Knockout(9, tokens, 2, heads=1).edits(run)
    assert (block.layer, block.queries, block.keys, block.heads) == (2, (9,), (3, 6), (1,))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ("mask.png", "view.tokens.under"),
        (None, "names no tokens"),
        (1.5, "names no tokens"),
        ([1, "two"], "names no tokens"),
        (torch.tensor([1.0, 2.0]), "whole numbers"),
        (np.ones((6, 4), dtype=np.uint8), "must be boolean"),
        ([True, 3], "whole number; got True"),
        (of_sequence(3)[:9], "each of its 10 positions; got 9"),
        (np.ones((4, 6), dtype=bool), "6 x 4 pixels but the image is 4 x 6"),
        (at(TokenLayout(14, LAYOUT.spans), [9]), "another prompt"),
        (at(TokenLayout(10, ()), [3]), "another prompt"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_names_no_tokens_is_refused(tokens, message):
    with pytest.raises(InterventionError, match=message):
        Ablate(tokens, "zero").edits(CleanRun())


def test_vectors_may_be_arrays():
    vectors = np.arange(12, dtype=np.float64).reshape(2, 6)
    wanted = torch.from_numpy(vectors).float()
    for intervention in (Ablate([3, 6], vectors), Patch([3, 6], 1, vectors)):
        (write,) = intervention.edits(CleanRun())
        assert torch.equal(write.value, wanted)
    (write,) = Steer([3], 1, np.ones(6, dtype=np.int64), scale=2).edits(CleanRun())
    assert torch.equal(write.value, torch.full((1, 6), 2.0))


def test_one_condition_stands_where_several_could():
    first, second = Ablate([3], "zero"), Knockout([9], [3], [1])
    assert as_conditions(first) == [(first,)]
    assert as_conditions((first, second)) == [(first, second)]  # a tuple is one condition
    assert as_conditions([first, second]) == [(first,), (second,)]  # a list holds several
    assert as_conditions([(first, second), [first], ()]) == [(first, second), (first,), ()]
    assert as_conditions(()) == [()]
    assert as_conditions([]) == []


def test_interventions_print_in_a_line():
    for intervention in (
        Ablate(at(LAYOUT, [2, 3, 4, 7]), torch.zeros(4, 6)),
        Knockout(range(600), list(range(600)), range(32), heads=list(range(32))),
        Patch(list(range(600)), 3, torch.zeros(600, 4096)),
        Steer(np.arange(600), 3, np.zeros(4096)),
    ):
        assert len(repr(intervention)) < 400
