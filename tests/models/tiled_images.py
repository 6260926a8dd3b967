"""PerceptionLM's and Cohere's image processors without torchvision, around Pillow's resizing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import SizeDict
from transformers.processing_utils import ImagesKwargs

from tests.models.real_source import choosers


class _Tiles(PilBackend):
    """What the two share: pixels between -1 and 1, tiles of a resized image."""

    do_resize, do_rescale, do_normalize = True, True, True
    image_mean, image_std = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
    resample = 3

    def cut(
        self, image: np.ndarray, side: int, canvas: tuple[int, int], resample: Any
    ) -> list[np.ndarray]:
        """Tiles row by row of the image resized to a canvas of (columns, rows)."""
        columns, rows = canvas
        size = SizeDict(height=rows * side, width=columns * side)
        resized = self.resize(image, size, resample).astype(np.float32) / 127.5 - 1
        return [
            resized[:, row * side : (row + 1) * side, column * side : (column + 1) * side]
            for row in range(rows)
            for column in range(columns)
        ]


class PerceptionLMImages(_Tiles):
    """A view of the whole, then tiles; the canvas is chosen by the real source."""

    valid_kwargs = ImagesKwargs
    size, vision_input_type = {"height": 56, "width": 56}, "thumb+tile"
    tile_size, max_num_tiles = 56, 6

    _fit_image_to_canvas: Callable[..., tuple[int, int] | None]
    _find_closest_aspect_ratio: Callable[..., tuple[int, int]]

    def _preprocess(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:  # pyright: ignore[reportIncompatibleMethodOverride]
        side, found = self.tile_size, []
        for image in images:
            height, width = image.shape[-2:]
            sizes = {"img_width": width, "img_height": height, "tile_size": side}
            canvas = self._fit_image_to_canvas(**sizes) or self._find_closest_aspect_ratio(**sizes)
            views = [
                *self.cut(image, side, (1, 1), kwargs["resample"]),
                *self.cut(image, side, canvas, kwargs["resample"]),
            ]
            found.append(np.stack(views))
        return BatchFeature({"pixel_values": found}, tensor_type=kwargs["return_tensors"])


for _name, _chooser in choosers(
    "perception_lm",
    "_factors",
    "_find_supported_aspect_ratios",
    "_get_image_height_width",
    "_fit_image_to_canvas",
    "_find_closest_aspect_ratio",
).items():
    setattr(PerceptionLMImages, _name, _chooser)

_canvas: Callable[..., tuple[int, int]] = choosers(
    "cohere2_vision", "get_all_supported_aspect_ratios", "get_optimal_tiled_canvas"
)["get_optimal_tiled_canvas"]


class Cohere2VisionImages(_Tiles):
    """Tiles, then a view of the whole; the canvas is chosen by the real source."""

    valid_kwargs = ImagesKwargs
    size, patch_size = {"height": 56, "width": 56}, 4
    crop_to_patches, min_patches, max_patches = True, 1, 6

    def _preprocess(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:  # pyright: ignore[reportIncompatibleMethodOverride]
        side = self.size["height"]
        views: list[np.ndarray] = []
        counts: list[int] = []
        for image in images:
            size = image.shape[-2:]
            canvas = _canvas(size, (side, side), self.min_patches, self.max_patches)
            own = self.cut(image, side, canvas, kwargs["resample"])
            if len(own) > 1:
                own += self.cut(image, side, (1, 1), kwargs["resample"])
            views += own
            counts.append(len(own))
        data = {"pixel_values": views, "num_patches": counts}
        return BatchFeature(data, tensor_type=kwargs["return_tensors"])
