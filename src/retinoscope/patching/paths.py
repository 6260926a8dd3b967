"""Exact path patching between token groups: object at layer l -> question -> last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording, evaluate
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.errors import SelectionError
from retinoscope.interventions import Condition, PathPatch
from retinoscope.patching.keys import Keys, keys_of, keys_under
from retinoscope.patching.pair import DIRECTIONS, Direction, Pair

Hop = tuple[int, ...]
"""Positions of one stop of a path, ascending."""


@dataclass(frozen=True)
class Path:
    """One path: groups of positions that read each other in turn.

    Attributes:
        direction: which run is changed.
        layers: decoder layers in which the second group reads the first, ascending. Each later
            group reads the one before it in every attending layer behind the first of them, and
            behind those that the steps before it take.
        hops: at least two groups; all that the last one changes reaches the answer as it will.
    """

    direction: Direction
    layers: tuple[int, ...]
    hops: tuple[Hop, ...]


@torch.no_grad()
def paths(runs: Pair, asked: Sequence[Path]) -> Float[Tensor, " paths"]:
    """The logit difference with each path patched, equal to full forwards with hooks.

    The first group's keys and values are those of the other run, for the second group's queries
    alone: all others go on reading this run. What that makes of the second group's own keys and
    values in the layers behind is then read by the third group alone, and so on (path patching;
    Wang et al. 2023, arXiv 2211.00593; Goldowsky-Dill et al. 2023, arXiv 2304.05969). Within a
    group information moves on by itself.

    Raises:
        SelectionError: a path of fewer than two groups, or without a layer for each step.
        InterventionError: there is no such edge in the model.
    """
    for path in asked:
        _check(path, runs.clean)
    found = torch.empty(len(asked))
    for direction in DIRECTIONS:
        members = [i for i, path in enumerate(asked) if path.direction == direction]
        if not members:
            continue
        conditions = _conditions(runs, [asked[index] for index in members], direction)
        logits = evaluate(runs.base(direction), conditions).logits
        found[members] = runs.difference(logits).cpu()
    return found


def _check(path: Path, recording: Recording) -> None:
    steps = len(path.hops) - 1
    if steps < 1:
        raise SelectionError("A path leads over at least two groups of positions.")
    mixings = [one.mixing for one in recording.layers] if recording.fallback is None else []
    if any(isinstance(one, SelfAttention) and one.owner is not None for one in mixings):
        raise SelectionError(
            f"Some layers of {recording.checkpoint.name} read the keys and values of earlier ones, "
            "so that the path through one layer can't be told from that through another."
        )
    most = recording.layer_count - steps
    if not path.layers or not 0 <= path.layers[0] <= most:
        raise SelectionError(
            f"A path of {steps} step(s) that begins in layers {list(path.layers)} does not fit "
            f"into {recording.layer_count} layers; begin in one of 0..{most}."
        )


def _conditions(runs: Pair, asked: Sequence[Path], direction: Direction) -> list[Condition]:
    """The last step of every path, each read from the run of the steps before it."""
    base, source = runs.base(direction), runs.source(direction)
    last = base.layer_count
    given: list[Keys] = [keys_of(source, path.hops[0]) for path in asked]
    found: list[Condition] = [()] * len(asked)
    going = list(range(len(asked)))
    step = 1
    while going:
        for index in going:
            path = asked[index]
            behind = range(path.layers[0] + step - 1, last)
            layers = path.layers if step == 1 else [n for n in behind if n in given[index].layers]
            keys, queries = path.hops[step - 1], path.hops[step]
            found[index] = (PathPatch(queries, keys, layers, given[index]),)
        going = [index for index in going if len(asked[index].hops) > step + 1]
        stops = [asked[index].hops[step] for index in going]
        under = keys_under(base, [found[index] for index in going], stops)
        given = given.copy()
        for index, keys in zip(going, under, strict=True):
            given[index] = keys
        step += 1
    return found
