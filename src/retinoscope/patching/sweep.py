"""The exact sweep: every cell of layer x token group x head, patched and run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording, evaluate
from retinoscope.interventions import Condition, Patch, Site, SitePatch
from retinoscope.interventions.edits import place_site
from retinoscope.patching.pair import DIRECTIONS, Direction, Pair

Progress = Callable[[int, int], None]
"""Is told how many cells are measured, and of how many."""


@dataclass(frozen=True)
class Cell:
    """One patch of a sweep.

    Attributes:
        direction: which run is changed.
        layer: of the residual stream: 0 is the input of the first decoder layer, n the output of
            the n-th; of a head: the decoder layer, from 0.
        group: the name of the positions.
        positions: ascending.
        head: the query head whose output before the projection (`z`) is patched; -1 for the whole
            residual stream.
    """

    direction: Direction
    layer: int
    group: str
    positions: tuple[int, ...] = field(repr=False)
    head: int = -1

    def site(self, recording: Recording) -> Site:
        """Where it is patched."""
        return place_site(self.layer, recording) if self.head < 0 else Site("z", self.layer)


def cells(
    groups: Mapping[str, Sequence[int]],
    layers: Sequence[int],
    heads: Sequence[int],
    directions: Sequence[Direction],
) -> list[Cell]:
    """Every cell of a sweep, by direction, group, layer and head.

    Args:
        groups: positions by name, each ascending.
        layers: see `Cell`.
        heads: query heads; none for the residual stream.
        directions: one or both.
    """
    return [
        Cell(direction, layer, group, tuple(positions), head)
        for direction in directions
        for group, positions in groups.items()
        for layer in layers
        for head in heads or (-1,)
    ]


@torch.no_grad()
def exact(
    runs: Pair, asked: Sequence[Cell], progress: Progress | None = None
) -> Float[Tensor, " cells"]:
    """The logit difference with each cell patched, equal to a full forward with hooks.

    Cells of one direction and group are packed into passes over what they can change: positions
    from the group's first, layers from the cell's own.

    Args:
        runs: the two runs.
        asked: the cells.
        progress: told after each group.

    Raises:
        InterventionError: a site, position, layer or head is not there.
    """
    found = torch.empty(len(asked))
    used = {cell.direction for cell in asked}
    states = {d: States(runs, runs.source(d), asked) for d in DIRECTIONS if d in used}
    batches: dict[tuple[Direction, tuple[int, ...]], list[int]] = {}
    for index, cell in enumerate(asked):
        batches.setdefault((cell.direction, cell.positions), []).append(index)
    done = 0
    for (direction, _), members in batches.items():
        base = runs.base(direction)
        conditions = [states[direction].patch(asked[index]) for index in members]
        logits = evaluate(base, conditions).logits
        found[members] = runs.difference(logits).cpu()
        done += len(members)
        if progress is not None:
            progress(done, len(asked))
    return found


class States:
    """The states of one run that cells are patched with.

    Args:
        runs: the two runs.
        recording: one of them.
        asked: the cells that will be patched from it.
    """

    def __init__(self, runs: Pair, recording: Recording, asked: Sequence[Cell]) -> None:
        self.recording = recording
        layers = tuple(sorted({cell.layer for cell in asked if cell.head >= 0}))
        self._heads = runs.heads(recording, layers) if layers else None

    def at(self, cell: Cell) -> Float[Tensor, "positions *state"]:
        """What stands at a cell's place: of a head, that head's part alone."""
        where = list(cell.positions)
        if cell.head < 0 or self._heads is None:
            return self.recording.residual(cell.layer)[where]
        return self._heads[Site("z", cell.layer)][where, cell.head]

    def patch(self, cell: Cell) -> Condition:
        """The condition that puts these states in another run's place."""
        if cell.head < 0 or self._heads is None:
            return (Patch(cell.positions, cell.layer, self.at(cell)),)
        site = Site("z", cell.layer)
        whole = self._heads[site][list(cell.positions)]
        return (SitePatch(cell.positions, site, whole, cell.head),)
