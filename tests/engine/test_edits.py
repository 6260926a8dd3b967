"""Edits from outside the package: refused where they could go astray, and never taken in part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from retinoscope.engine import (
    Recording,
    Unreplayable,
    answer,
    changed_stream,
    evaluate,
    generate,
    record,
)
from retinoscope.engine.edits.hooked import following
from retinoscope.engine.replay.batch_rows import batch_rows
from retinoscope.errors import InterventionError
from retinoscope.interventions import (
    Ablate,
    Condition,
    Context,
    Edge,
    Edits,
    Knockout,
    Patch,
    Site,
    Steer,
    Write,
    as_site,
    resolve,
)
from tests.engine import families
from tests.engine.oracle import oracle

WIDTH, LENGTH, LAYERS, HEADS = 64, 26, 4, 4


@dataclass(frozen=True, eq=False)
class Raw:
    """Edits as they are: an intervention of somebody else's."""

    made: object

    def edits(self, context: Context) -> Edits:
        """The edits."""
        return self.made  # pyright: ignore[reportReturnType]


@dataclass(frozen=True)
class Weighed(Edge):
    """An edge that holds one thing more."""

    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Measured(Edge):
    """An edge with a tensor, which can't be compared."""

    extra: torch.Tensor | None = None


class Labelled(tuple):
    """Edits that may hold one thing more."""


def write(site="resid_pre.0", positions=(3, 5), shape=None, value=1.0) -> Raw:
    shape = (len(positions), WIDTH) if shape is None else shape
    return Raw((Write(as_site(site), positions, torch.full(shape, value)),))


def edge(layer=1, queries=(LENGTH - 1,), keys=(3, 5), heads=None) -> Raw:
    return Raw((Edge(layer, queries, keys, heads),))


def smuggled(edit: object, **fields: object) -> Raw:
    """An edit with contents that annotations forbid, which only tests check."""
    for name, value in fields.items():
        object.__setattr__(edit, name, value)
    return Raw((edit,))


@pytest.fixture(scope="module")
def recording() -> Recording:
    recording = record(*families.build("llava"), max_new_tokens=4)
    assert (recording.length, recording.layer_count) == (LENGTH, LAYERS)
    return recording


@pytest.fixture(scope="module")
def falling_back(recording: Recording) -> Recording:
    return replace(recording, replay=Unreplayable("said so"))


REFUSED = {
    "descending positions": (write(positions=(5, 3)), "ascending"),
    "a position twice": (write(positions=(3, 3)), "ascending"),
    "no position": (write(positions=()), "at least one"),
    "a position behind the prompt": (write(positions=(3, LENGTH)), f"0..{LENGTH - 1}"),
    "a negative position": (write(positions=(-1, 3)), f"0..{LENGTH - 1}"),
    "a truth value": (write(positions=(False, True)), "whole number"),
    "a layer behind the last place": (write(site=f"resid_pre.{LAYERS}"), f"0..{LAYERS - 1}"),
    "a layer far behind": (write(site="attn_out.99"), f"0..{LAYERS - 1}"),
    "too few vectors": (write(shape=(1, WIDTH)), r"shape \[1, 64\]"),
    "another width": (write(shape=(2, WIDTH + 1)), r"shape \[2, 65\]"),
    "not a number": (write(value=float("nan")), "finite"),
    "infinity": (write(value=float("inf")), "finite"),
    "descending queries": (edge(queries=(LENGTH - 1, 20)), "ascending"),
    "queries behind the prompt": (edge(queries=(LENGTH,)), f"0..{LENGTH - 1}"),
    "descending keys": (edge(keys=(5, 3)), "ascending"),
    "keys behind the prompt": (edge(keys=(3, LENGTH)), "has keys"),
    "a negative key": (edge(keys=(-1,)), "0 or more"),
    "layer 99": (edge(layer=99), f"0..{LAYERS - 1}"),
    "layer -1": (edge(layer=-1), f"0..{LAYERS - 1}"),
    "head 99": (edge(heads=(99,)), f"0..{HEADS - 1}"),
    "head -1": (edge(heads=(-1,)), f"0..{HEADS - 1}"),
    "descending heads": (edge(heads=(1, 0)), "ascending"),
    "no head": (edge(heads=()), "at least one"),
    "something else": (Raw([("write", 0)]), "return a tuple"),
    "nothing": (Raw(None), "return a tuple"),
    "an edit outside a tuple": (Raw(Edge(0, (9,), (3,))), "return a tuple"),
    "positions in a list": (
        smuggled(Write(Site("resid_pre", 0), (3,), torch.zeros(1, WIDTH)), positions=[3]),
        "a tuple",
    ),
    "a site in a string": (
        smuggled(Write(Site("resid_pre", 0), (3,), torch.zeros(1, WIDTH)), site="resid_pre.0"),
        "give a Site",
    ),
    "edits that hold more": (Raw(Labelled()), "return a tuple"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("fixture", ["recording", "falling_back"])
def test_what_would_go_astray_is_refused(
    what: str, fixture: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(fixture)
    raw, message = REFUSED[what]
    for ask in (evaluate, generate, lambda r, c: answer([(r, c)])):
        with pytest.raises(InterventionError, match=message):
            ask(run, [(raw,)])
    with pytest.raises(InterventionError, match=message):
        changed_stream(run, (raw,))


def test_what_is_too_large_for_the_models_precision_is_refused() -> None:
    recording = record(*families.build("llava", torch.float16))
    large = torch.full((WIDTH,), 1e6)
    for one in (Patch([3], 1, large), Steer([3], 1, large, scale=10.0), Ablate([3], large)):
        with pytest.raises(InterventionError, match=r"not finite in torch\.float16"):
            evaluate(recording, [(one,)])
    with pytest.raises(InterventionError, match=r"not finite in torch\.float16"):
        evaluate(recording, [(write(value=1e6),)])


@pytest.mark.parametrize("fallback", [False, True])
def test_edits_in_order_equal_the_plain_way(
    recording: Recording, falling_back: Recording, fallback: bool
) -> None:
    run = falling_back if fallback else recording
    given: list[Condition] = [
        (write(), edge()),
        (write(site=f"resid_post.{LAYERS - 1}", positions=(LENGTH - 1,)),),
        (edge(layer=0, queries=(20, LENGTH - 1), heads=(0, 3)),),
    ]
    for one, found in zip(given, evaluate(run, given).logits, strict=True):
        expected = oracle(run.checkpoint, run.encoded, resolve(one, run))[-1]
        assert torch.allclose(found, expected, atol=1e-5)


def test_edges_are_one_only_where_all_they_hold_is_equal() -> None:
    same = (1, (9,), (2, 3), None)
    extra = torch.zeros(2)
    kinds = [
        Edge(*same),
        Weighed(*same, weight=0.5),
        Weighed(*same, weight=0.25),
        Measured(*same, extra=extra),
        Measured(*same, extra=torch.ones(2)),
        Measured(*same),
    ]
    assert len(set(kinds)) == len(kinds)
    assert Edge(*same) == Edge(*same)
    assert Weighed(*same, weight=0.5) == Weighed(*same, weight=0.5)
    assert Measured(*same, extra=extra) == Measured(*same, extra=extra)
    plan = batch_rows([(one,) for one in kinds], places=3)
    assert plan[-1].rows == tuple(range(len(kinds)))
    twice = [(Weighed(*same, weight=0.5),) for _ in range(2)]
    assert batch_rows(twice, places=3)[-1].rows == (0, 0)


def test_what_is_copied_is_copied_whole(recording: Recording) -> None:
    """A knockout goes on while tokens are generated, with all that a subclass holds."""
    last = LENGTH - 1
    edits = (Weighed(1, (20, last), (3, 5), weight=0.5), Edge(2, (20,), (3,)))
    extended = following(edits, LENGTH, 2)
    assert extended == (
        Weighed(1, (20, last, last + 1, last + 2), (3, 5), weight=0.5),
        Edge(2, (20,), (3,)),
    )
    given: list[Condition] = [(Raw(edits),), (Knockout([last], [3, 5], [1]),)]
    assert len(generate(recording, given)) == len(given)


def test_a_knockout_without_an_edge_is_refused_beside_another(recording: Recording) -> None:
    """What two edges have in common does not let one hide behind the other."""
    seen, unseen = Edge(1, (20,), (3, 5)), Weighed(2, (3,), (5,), weight=0.5)
    evaluate(recording, [(Raw((seen,)),)])
    with pytest.raises(InterventionError, match="finds no edge at"):
        evaluate(recording, [(Raw((seen, unseen)),)])
