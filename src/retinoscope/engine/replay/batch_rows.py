"""Rows of a batch that fork: conditions share a row until the first layer that tells them apart.

A condition that has touched nothing yet needs no row at all, its states are the recorded ones;
two conditions that have touched the same so far share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.edits.apply import place_of
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.engine.recording.recording import Recording
from retinoscope.interventions import Edge, Edits, Write

CLEAN = -1
"""In the place of a row: nothing is touched yet, the recorded states hold."""


@dataclass(frozen=True)
class BatchRows:
    """The rows of a batch at one place of the stream.

    Attributes:
        parents: for each row its row at the place before, or CLEAN.
        edits: for each row what its conditions do at this place, all of them the same.
        rows: for each condition its row, or CLEAN.
    """

    parents: tuple[int, ...]
    edits: tuple[Edits, ...]
    rows: tuple[int, ...]

    def touched(self, names: Sequence[int]) -> tuple[list[int], list[int]]:
        """The names of those conditions that have a row, and their rows.

        Args:
            names: one for each condition.
        """
        named = [(name, row) for name, row in zip(names, self.rows, strict=True) if row != CLEAN]
        return [name for name, _ in named], [row for _, row in named]


def batch_rows(conditions: Sequence[Edits], places: int) -> list[BatchRows]:
    """How the rows fork, place by place.

    Args:
        conditions: what each condition does.
        places: of the stream, one more than layers.
    """
    touches = [_touches(edits, places - 1) for edits in conditions]
    rows = (CLEAN,) * len(conditions)
    found: list[BatchRows] = []
    for place in range(places):
        index: dict[tuple[int, Edits | None], int] = {}
        parents: list[int] = []
        edits_of_rows: list[Edits] = []
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
                edits_of_rows.append(touch or ())
            now.append(index[key])
        rows = tuple(now)
        found.append(BatchRows(tuple(parents), tuple(edits_of_rows), rows))
    return found


def _touches(edits: Edits, layers: int) -> dict[int, Edits]:
    """The edits of a condition at each place where it has some; writes are equal by identity."""
    found: dict[int, list[Write | Edge]] = {}
    for edit in edits:
        found.setdefault(place_of(edit, layers), []).append(edit)
    return {place: tuple(touch) for place, touch in found.items()}


def forked(
    states: Float[Tensor, "before *shape"], batch: BatchRows, clean: Float[Tensor, "*shape"]
) -> Float[Tensor, "rows *shape"]:
    """The rows of the next place, each a copy of its parent or of the clean run's states."""
    if batch.parents == tuple(range(len(states))):
        return states
    if all(parent == CLEAN for parent in batch.parents):
        return clean.expand(len(batch.parents), *clean.shape)
    parents = torch.tensor(batch.parents, device=states.device)
    return torch.cat([states, clean[None]])[parents]


Keys = Float[Tensor, "rows groups suffix width"]


class SharedKeys:
    """What layers that own keys and values hold ready for those that have none.

    Rows fork on between the layers, so what the owner gave is forked with them.

    Args:
        recording: the clean run.
        start: the first position of the suffix.
    """

    def __init__(self, recording: Recording, start: int) -> None:
        self._mixings = [layer.mixing for layer in recording.layers]
        self._start = start
        mixings = (one for one in self._mixings if isinstance(one, SelfAttention))
        self._owners = {one.owner for one in mixings if one.owner is not None}
        self._held: dict[int, tuple[Tensor, Tensor]] = {}

    def follow(self, place: int, batch: BatchRows, end: int) -> None:
        """Fork what the layers before a place hold.

        Args:
            place: the place of the stream that is entered.
            batch: its rows.
            end: the position behind the suffix.
        """
        for owner in self._owners:
            mixing = self._mixings[owner]
            if owner >= place or not isinstance(mixing, SelfAttention):
                continue
            clean = mixing.keys[0, :, self._start : end], mixing.values[0, :, self._start : end]
            keys, values = self._held.get(owner, (clean[0][None][:0], clean[1][None][:0]))
            self._held[owner] = forked(keys, batch, clean[0]), forked(values, batch, clean[1])

    def hold_clean(self, layer: int, end: int) -> None:
        """Hold the clean keys and values that a layer without its own reads, for one row.

        Args:
            layer: the layer.
            end: the position behind the suffix.
        """
        mixing, span = self._mixings[layer], slice(self._start, end)
        if isinstance(mixing, SelfAttention) and mixing.owner is not None:
            self._held[mixing.owner] = mixing.keys[:, :, span], mixing.values[:, :, span]

    def of(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Keys, Keys]:
        """The keys and values that a layer reads: its own, as given, or its owner's.

        A layer without its own is given what the model finds lying about, of whatever rows.
        """
        mixing = self._mixings[layer]
        owner = mixing.owner if isinstance(mixing, SelfAttention) else None
        if owner is not None:
            return self._held[owner]
        if layer in self._owners:
            self._held[layer] = keys, values
        return keys, values
