"""Tables of a run that are too large for memory, block by block of whole images.

Whatever is paired is paired within an image, so that what is counted in blocks adds up.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

Records = pl.DataFrame | pl.LazyFrame
"""Rows of one table, sorted by image where they are lazy: all at once, or still in their file."""

BLOCK = 500_000
"""Rows of a block, about: as many as one image has more."""


def blocks(records: Records) -> Iterator[pl.DataFrame]:
    """The rows in their order, whole images at a time; of rows in memory all at once.

    Args:
        records: with image_id.
    """
    if isinstance(records, pl.DataFrame):
        yield records
        return
    image = pl.col("image_id")
    counts = records.group_by(image).len().sort(image).collect(engine="streaming")
    ends = counts.with_columns(block=(pl.col("len").cum_sum() - 1) // BLOCK)
    for _, some in ends.group_by("block", maintain_order=True):
        first, last = some["image_id"].item(0), some["image_id"].item(-1)
        yield records.filter(image.is_between(first, last)).collect()
