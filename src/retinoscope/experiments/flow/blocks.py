"""Blocks: the image in squares of 2 x 2 visual tokens, ablated one at a time."""

from __future__ import annotations

from retinoscope.experiments.flow.item import Item
from retinoscope.experiments.flow.records import FlowBlockRecord
from retinoscope.experiments.flow.scoring import Scored, mass
from retinoscope.experiments.flow.sets import Replace
from retinoscope.geometry import UnplacedGrid

SIDE = 2
"""Tokens along a block's edge."""


def blocks(item: Item) -> dict[tuple[int, int], list[int]]:
    """Positions of each block of the first image, by row and column of blocks; {} without places.

    Of several resolutions it is the first one that is cut into blocks.
    """
    span = item.recording.layout.spans[0]
    if isinstance(span.grid, UnplacedGrid):
        return {}
    found: dict[tuple[int, int], list[int]] = {}
    for position, (level, row, column) in zip(
        span.positions, span.grid.cells.tolist(), strict=True
    ):
        if level == span.grid.cells[0, 0]:
            found.setdefault((row // SIDE, column // SIDE), []).append(position)
    return found


def block_records(item: Item, scored: Scored, replace: Replace) -> list[FlowBlockRecord]:
    """Every block ablated, beside each score's mass in it."""
    found = blocks(item)
    runs = item.runs([(replace(positions),) for positions in found.values()])
    return [
        FlowBlockRecord(
            image_id=item.target.sample.image_id,
            object_id=item.target.annotation.object_id,
            class_name=item.target.class_name,
            task=item.query.task,
            score=score,
            row=row,
            column=column,
            tokens=len(positions),
            mass=mass(numbers, [position in positions for position in item.visual]),
            on_object=sum(position in item.tokens for position in positions),
            clean_ld=item.clean.ld,
            ld=run.ld,
        )
        for score, numbers in scored.items()
        for ((row, column), positions), run in zip(found.items(), runs, strict=True)
    ]
