"""Edits from outside the package: refused where they could go astray, and never taken in part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from retinoscope.engine import Recording, answer, changed_stream, evaluate, generate, record
from retinoscope.engine.forks import forks
from retinoscope.engine.full import following
from retinoscope.errors import InterventionError
from retinoscope.interventions import (
    Ablate,
    Block,
    Condition,
    Context,
    Knockout,
    Patch,
    Sites,
    Steer,
    Write,
    resolve,
)
from tests.engine import families
from tests.engine.oracle import oracle

WIDTH, LENGTH, LAYERS, HEADS = 64, 26, 4, 4


@dataclass(frozen=True, eq=False)
class Edits:
    """Edits as they are: an intervention of somebody else's."""

    touched: object

    def sites(self, context: Context) -> Sites:
        """The edits."""
        return self.touched  # pyright: ignore[reportReturnType]


@dataclass(frozen=True)
class Weighed(Block):
    """A block that holds one thing more."""

    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Sourced(Block):
    """A block with a tensor, which can't be compared."""

    source: torch.Tensor | None = None


@dataclass(frozen=True)
class Labelled(Sites):
    """Sites that hold one thing more."""

    label: str = ""


def write(layer=0, positions=(3, 5), shape=None, value=1.0) -> Edits:
    shape = (len(positions), WIDTH) if shape is None else shape
    return Edits(Sites(writes=(Write(layer, positions, torch.full(shape, value)),)))


def block(layer=1, queries=(LENGTH - 1,), keys=(3, 5), heads=None) -> Edits:
    return Edits(Sites(blocks=(Block(layer, queries, keys, heads),)))


def smuggled(edit: object, **fields: object) -> Edits:
    """Edits with contents that annotations forbid, which only tests check."""
    for name, value in fields.items():
        object.__setattr__(edit, name, value)
    return Edits(edit)


@pytest.fixture(scope="module")
def recording() -> Recording:
    recording = record(*families.build("llava"), room=4)
    assert (recording.length, recording.layer_count) == (LENGTH, LAYERS)
    return recording


@pytest.fixture(scope="module")
def falling_back(recording: Recording) -> Recording:
    return replace(recording, fallback="said so", calls=())


REFUSED = {
    "descending positions": (write(positions=(5, 3)), "ascending"),
    "a position twice": (write(positions=(3, 3)), "ascending"),
    "no position": (write(positions=()), "at least one"),
    "a position behind the prompt": (write(positions=(3, LENGTH)), f"0..{LENGTH - 1}"),
    "a negative position": (write(positions=(-1, 3)), f"0..{LENGTH - 1}"),
    "a truth value": (write(positions=(False, True)), "whole number"),
    "a layer behind the last place": (write(layer=LAYERS + 1), f"0..{LAYERS}"),
    "a negative layer": (write(layer=-1), f"0..{LAYERS}"),
    "too few vectors": (write(shape=(1, WIDTH)), r"shape \[1, 64\]"),
    "another width": (write(shape=(2, WIDTH + 1)), r"shape \[2, 65\]"),
    "not a number": (write(value=float("nan")), "finite"),
    "infinity": (write(value=float("inf")), "finite"),
    "descending queries": (block(queries=(LENGTH - 1, 20)), "ascending"),
    "queries behind the prompt": (block(queries=(LENGTH,)), f"0..{LENGTH - 1}"),
    "descending keys": (block(keys=(5, 3)), "ascending"),
    "keys in the room": (block(keys=(3, LENGTH)), "has keys"),
    "a negative key": (block(keys=(-1,)), "0 or more"),
    "layer 99": (block(layer=99), f"0..{LAYERS - 1}"),
    "layer -1": (block(layer=-1), f"0..{LAYERS - 1}"),
    "head 99": (block(heads=(99,)), f"0..{HEADS - 1}"),
    "head -1": (block(heads=(-1,)), f"0..{HEADS - 1}"),
    "descending heads": (block(heads=(1, 0)), "ascending"),
    "no head": (block(heads=()), "at least one"),
    "something else": (Edits([("write", 0)]), "return a Sites"),
    "nothing": (Edits(None), "return a Sites"),
    "a block among writes": (smuggled(Sites(), writes=(Block(0, (9,), (3,)),)), "give Write"),
    "positions in a list": (
        Edits(
            Sites(writes=(smuggled(Write(0, (3,), torch.zeros(1, WIDTH)), positions=[3]).touched,))
        ),
        "a tuple",
    ),
    "sites that hold more": (Edits(Labelled(label="?")), "return a Sites"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("fixture", ["recording", "falling_back"])
def test_what_would_go_astray_is_refused(
    what: str, fixture: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(fixture)
    edits, message = REFUSED[what]
    for ask in (evaluate, generate, lambda r, c: answer([(r, c)])):
        with pytest.raises(InterventionError, match=message):
            ask(run, [(edits,)])
    with pytest.raises(InterventionError, match=message):
        changed_stream(run, (edits,))


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
        (write(), block()),
        (write(layer=LAYERS, positions=(LENGTH - 1,)),),
        (block(layer=0, queries=(20, LENGTH - 1), heads=(0, 3)),),
    ]
    for one, found in zip(given, evaluate(run, given).logits, strict=True):
        expected = oracle(run.checkpoint, run.encoded, resolve(one, run))[-1]
        assert torch.allclose(found, expected, atol=1e-5)


def test_blocks_are_one_only_where_all_they_hold_is_equal() -> None:
    same = (1, (9,), (2, 3), None)
    source = torch.zeros(2)
    kinds = [
        Block(*same),
        Weighed(*same, weight=0.5),
        Weighed(*same, weight=0.25),
        Sourced(*same, source=source),
        Sourced(*same, source=torch.ones(2)),
        Sourced(*same),
    ]
    assert len(set(kinds)) == len(kinds)
    assert Block(*same) == Block(*same)
    assert Weighed(*same, weight=0.5) == Weighed(*same, weight=0.5)
    assert Sourced(*same, source=source) == Sourced(*same, source=source)
    plan = forks([Sites(blocks=(one,)) for one in kinds], places=3)
    assert plan[-1].rows == tuple(range(len(kinds)))
    twice = [Sites(blocks=(Weighed(*same, weight=0.5),)) for _ in range(2)]
    assert forks(twice, places=3)[-1].rows == (0, 0)


def test_what_is_copied_is_copied_whole(recording: Recording) -> None:
    """A knockout goes on while tokens are generated, with all that a subclass holds."""
    last = LENGTH - 1
    sites = Sites(blocks=(Weighed(1, (20, last), (3, 5), weight=0.5), Block(2, (20,), (3,))))
    extended = following(sites, LENGTH, 2)
    assert extended.blocks == (
        Weighed(1, (20, last, last + 1, last + 2), (3, 5), weight=0.5),
        Block(2, (20,), (3,)),
    )
    given: list[Condition] = [(Edits(sites),), (Knockout([last], [3, 5], [1]),)]
    assert len(generate(recording, given)) == len(given)


def test_a_knockout_without_an_edge_is_refused_beside_another(recording: Recording) -> None:
    """What two blocks have in common does not let one hide behind the other."""
    seen, unseen = Block(1, (20,), (3, 5)), Weighed(2, (3,), (5,), weight=0.5)
    evaluate(recording, [(Edits(Sites(blocks=(seen,))),)])
    with pytest.raises(InterventionError, match="no edge to cut"):
        evaluate(recording, [(Edits(Sites(blocks=(seen, unseen))),)])
