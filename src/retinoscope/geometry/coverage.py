"""How much of each cell a mask of the original image covers."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from retinoscope.errors import SelectionError
from retinoscope.geometry.grid import PatchGrid


def coverage(
    grid: PatchGrid, mask: Bool[np.ndarray, "height width"]
) -> Float[np.ndarray, " cells"]:
    """Share of each cell's area that lies under a mask, 0 to 1.

    Exact for any real-valued cell box: each pixel counts by the part of it that lies in the cell,
    so a cell pitch that is not a whole number of pixels never drifts (the paper's code divides
    the unresized crop by floor(width / 24) and is off by up to a patch at the far edge). Parts of
    a cell outside the image are uncovered.

    Args:
        grid: the image's patches.
        mask: True on the object, in the original image's pixels.

    Raises:
        SelectionError: the mask has another size than the image.
    """
    width, height = grid.size
    if mask.shape != (height, width):
        raise SelectionError(
            f"The mask is {mask.shape[1]} x {mask.shape[0]} pixels but the image is {width} x "
            f"{height}; give the mask in the original image's pixels."
        )
    integral = np.zeros((height + 1, width + 1))
    integral[1:, 1:] = mask.cumsum(0).cumsum(1)
    x0, y0, x1, y1 = grid.boxes.T
    covered = (
        _sample(integral, x1, y1)
        - _sample(integral, x0, y1)
        - _sample(integral, x1, y0)
        + _sample(integral, x0, y0)
    )
    share = covered / ((x1 - x0) * (y1 - y0))
    # Differences of large sums leave dust of about 1e-12 on cells that the mask does not touch.
    return np.where(share < 1e-9, 0.0, np.minimum(share, 1.0))


def outside(grid: PatchGrid, mask: Bool[np.ndarray, "height width"]) -> bool:
    """Whether the mask touches no cell at all: an object wholly outside the crop."""
    return not bool((coverage(grid, mask) > 0).any())


def _sample(
    integral: Float[np.ndarray, "height1 width1"],
    x: Float[np.ndarray, " cells"],
    y: Float[np.ndarray, " cells"],
) -> Float[np.ndarray, " cells"]:
    """The integral image at real-valued corners, clamped to the image; exact between pixels."""
    x = np.clip(x, 0, integral.shape[1] - 1)
    y = np.clip(y, 0, integral.shape[0] - 1)
    column = np.minimum(x.astype(int), integral.shape[1] - 2)
    row = np.minimum(y.astype(int), integral.shape[0] - 2)
    right, down = x - column, y - row
    top = integral[row, column] * (1 - right) + integral[row, column + 1] * right
    bottom = integral[row + 1, column] * (1 - right) + integral[row + 1, column + 1] * right
    return top * (1 - down) + bottom * down
