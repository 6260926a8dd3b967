"""Rows of a batch that fork: conditions share a row until the first layer that tells them apart.

A condition that has touched nothing yet needs no row at all, its states are the recorded ones;
two conditions that have touched the same so far share one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.interventions import Sites

CLEAN = -1
"""In the place of a row: nothing is touched yet, the recorded states hold."""


@dataclass(frozen=True)
class Fork:
    """The rows of a batch at one place of the stream.

    Attributes:
        parents: for each row its row at the place before, or CLEAN.
        members: for each row one of its conditions; all of them do the same at this place.
        rows: for each condition its row, or CLEAN.
    """

    parents: tuple[int, ...]
    members: tuple[int, ...]
    rows: tuple[int, ...]

    def touched(self, names: Sequence[int]) -> tuple[list[int], list[int]]:
        """The names of those conditions that have a row, and their rows.

        Args:
            names: one for each condition.
        """
        named = [(name, row) for name, row in zip(names, self.rows, strict=True) if row != CLEAN]
        return [name for name, _ in named], [row for _, row in named]


def forks(conditions: Sequence[Sites], places: int) -> list[Fork]:
    """How the rows fork, place by place.

    Args:
        conditions: what each condition touches.
        places: of the stream, one more than layers.
    """
    touches = [_touches(sites) for sites in conditions]
    rows = (CLEAN,) * len(conditions)
    found: list[Fork] = []
    for place in range(places):
        index: dict[Hashable, int] = {}
        parents: list[int] = []
        members: list[int] = []
        now: list[int] = []
        for condition, row in enumerate(rows):
            touch = touches[condition].get(place)
            if row == CLEAN and touch is None:
                now.append(CLEAN)
                continue
            key = (row, touch)
            if key not in index:
                index[key] = len(parents)
                parents.append(row)
                members.append(condition)
            now.append(index[key])
        rows = tuple(now)
        found.append(Fork(tuple(parents), tuple(members), rows))
    return found


def _touches(sites: Sites) -> dict[int, Hashable]:
    """The edits of a condition at each place where it has some; writes are equal by identity."""
    found: dict[int, list[Hashable]] = {}
    for edit in (*sites.writes, *sites.blocks):
        found.setdefault(edit.layer, []).append(edit)
    return {place: tuple(touch) for place, touch in found.items()}


def forked(
    states: Float[Tensor, "before *shape"], fork: Fork, clean: Float[Tensor, "*shape"]
) -> Float[Tensor, "rows *shape"]:
    """The rows of the next place, each a copy of its parent or of the clean run's states."""
    if fork.parents == tuple(range(len(states))):
        return states
    if all(parent == CLEAN for parent in fork.parents):
        return clean.expand(len(fork.parents), *clean.shape)
    parents = torch.tensor(fork.parents, device=states.device)
    return torch.cat([states, clean[None]])[parents]
