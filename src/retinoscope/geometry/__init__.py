"""How one image became a grid of patches: pixels to cells and back, for any aspect and tiling."""

from retinoscope.geometry.coverage import coverage, outside
from retinoscope.geometry.grid import PatchGrid, Tile
from retinoscope.geometry.pitch import whole_pixel_pitch
from retinoscope.geometry.resize import (
    centre_crop,
    centred_square,
    fitted_square,
    letterbox,
    padded_fit,
    padded_square,
    whole_image,
)
from retinoscope.geometry.tiling import (
    best_resolution,
    closest_canvas,
    least_scaled_canvas,
    pan_and_scan,
    split,
)
from retinoscope.geometry.unplaced import UnplacedGrid

__all__ = [
    "PatchGrid",
    "Tile",
    "UnplacedGrid",
    "best_resolution",
    "centre_crop",
    "centred_square",
    "closest_canvas",
    "coverage",
    "fitted_square",
    "least_scaled_canvas",
    "letterbox",
    "outside",
    "padded_fit",
    "padded_square",
    "pan_and_scan",
    "split",
    "whole_image",
    "whole_pixel_pitch",
]
