"""How one image became a grid of patches: pixels to cells and back, for any aspect and tiling."""

from retinoscope.geometry.coverage import coverage, outside
from retinoscope.geometry.grid import PatchGrid, Tile
from retinoscope.geometry.resize import centre_crop, letterbox, whole_image

__all__ = ["PatchGrid", "Tile", "centre_crop", "coverage", "letterbox", "outside", "whole_image"]
