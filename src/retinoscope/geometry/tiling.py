"""How an image is cut into tiles: the choice of a canvas and the tiles on it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from retinoscope.geometry.grid import Box, Tile


def split(
    box: Box, rows: int, columns: int, cells: tuple[int, int], *, level: int = 0
) -> tuple[Tile, ...]:
    """Cut a rectangle into rows x columns equal tiles, row by row.

    Args:
        box: the rectangle in original-image pixels.
        rows: tiles from top to bottom.
        columns: tiles from left to right.
        cells: (rows, columns) of cells in each tile.
        level: the resolution that the tiles belong to.
    """
    x0, y0, x1, y1 = box
    width, height = (x1 - x0) / columns, (y1 - y0) / rows
    return tuple(
        Tile(
            rows=cells[0],
            columns=cells[1],
            box=(
                x0 + column * width,
                y0 + row * height,
                x0 + (column + 1) * width,
                y0 + (row + 1) * height,
            ),
            level=level,
            row=row * cells[0],
            column=column * cells[1],
        )
        for row in range(rows)
        for column in range(columns)
    )


def closest_canvas(
    size: tuple[int, int], tile: tuple[int, int], fewest: int, most: int
) -> tuple[int, int]:
    """The (rows, columns) of tiles whose shape is closest to the image's: InternVL's tiling.

    Among canvases of the same shape a larger one wins if the image has more than half its pixels.

    Args:
        size: (width, height) of the original image.
        tile: (width, height) of one tile in pixels.
        fewest: least number of tiles.
        most: largest number of tiles.
    """
    width, height = size
    canvases = [
        (columns, rows)
        for columns in range(1, most + 1)
        for rows in range(1, most + 1)
        if fewest <= columns * rows <= most
    ]
    best, least = (1, 1), math.inf
    for columns, rows in sorted(canvases, key=lambda canvas: canvas[0] * canvas[1]):
        difference = abs(width / height - columns / rows)
        roomy = width * height > 0.5 * tile[0] * tile[1] * columns * rows
        if difference < least or (difference == least and roomy):
            best, least = (columns, rows), difference
    return best[1], best[0]


def least_scaled_canvas(size: tuple[int, int], side: int, most: int) -> tuple[int, int]:
    """The (rows, columns) of square tiles that need least scaling up: Command A Vision's.

    Where none holds the whole image, the one that needs least scaling down.

    Args:
        size: (width, height) of the original image.
        side: side of a tile in pixels.
        most: largest number of tiles.
    """
    canvases = [
        (columns, rows)
        for columns in range(1, most + 1)
        for rows in range(1, most + 1)
        if columns * rows <= most
    ]
    scales = {
        (columns, rows): min(columns * side / size[0], rows * side / size[1])
        for columns, rows in sorted(canvases, key=lambda canvas: canvas[0] * canvas[1])
    }
    large = {canvas: scale for canvas, scale in scales.items() if scale >= 1}
    columns, rows = (
        min(large, key=large.__getitem__) if large else max(scales, key=scales.__getitem__)
    )
    return rows, columns


def best_resolution(
    size: tuple[int, int], resolutions: Iterable[tuple[int, int]]
) -> tuple[int, int]:
    """The (width, height) that keeps most of the image's pixels and wastes least: LLaVA-NeXT's.

    Args:
        size: (width, height) of the original image.
        resolutions: candidates, each (width, height).
    """
    width, height = size

    def merit(resolution: tuple[int, int]) -> tuple[int, int]:
        scale = min(resolution[0] / width, resolution[1] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - resolution[0] * resolution[1]

    return max(resolutions, key=merit)


def pan_and_scan(
    size: tuple[int, int], *, smallest: int, most: int, ratio: float
) -> tuple[Box, ...]:
    """Crops along the longer side of an elongated image: Gemma 3's pan and scan.

    Crops have whole pixels; the last one is cut at the image's edge.

    Args:
        size: (width, height) of the original image.
        smallest: least side of a crop in pixels; smaller ones are not made.
        most: largest number of crops.
        ratio: least ratio of the longer to the shorter side for which crops are made.

    Returns:
        The crops in original-image pixels; none where the image is not elongated or too small.
    """
    width, height = size
    longer, shorter = max(size), min(size)
    if longer / shorter < ratio:
        return ()
    count = min(math.floor(longer / smallest), math.floor(longer / shorter + 0.5))
    count = min(most, max(2, count))
    step = math.ceil(longer / count)
    if min(step, shorter) < smallest:
        return ()
    spans = [(step * i, min(step * (i + 1), longer)) for i in range(count)]
    if width >= height:
        return tuple((float(a), 0.0, float(b), float(height)) for a, b in spans)
    return tuple((0.0, float(a), float(width), float(b)) for a, b in spans)
