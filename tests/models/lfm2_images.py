"""LFM2-VL's image processor without torchvision: its own choices around Pillow's resizing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from transformers import BatchFeature
from transformers.image_processing_backends import PilBackend
from transformers.image_utils import SizeDict
from transformers.processing_utils import ImagesKwargs

from tests.models.real_source import choosers

CHOOSERS = choosers(
    "lfm2_vl",
    "_target_ratios",
    "_get_grid_layout",
    "smart_resize",
    "_is_image_too_large",
    "round_by_factor",
    "find_closest_aspect_ratio",
)


class Lfm2VlKwargs(ImagesKwargs, total=False):
    """The one option that the processor passes."""

    return_row_col_info: bool


class Lfm2VlImages(PilBackend):
    """The image processor's options and outputs, its choices from the real source."""

    do_resize, do_rescale, do_normalize = True, True, True
    image_mean, image_std = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
    size, resample = {"height": 512, "width": 512}, 2
    downsample_factor, encoder_patch_size, tile_size = 2, 14, 56
    do_image_splitting, use_thumbnail = True, True
    min_tiles, max_tiles = 2, 6
    min_image_tokens, max_image_tokens, max_pixels_tolerance = 4, 16, 2.0
    model_input_names = ("pixel_values", "pixel_attention_mask", "spatial_shapes")
    valid_kwargs = Lfm2VlKwargs

    smart_resize: Callable[..., tuple[int, int]]
    _is_image_too_large: Callable[..., bool]
    _get_grid_layout: Callable[..., tuple[int, int, int, int, int]]

    def views(
        self, image: np.ndarray, resample: Any
    ) -> tuple[list[np.ndarray], int, int, list[int]]:
        height, width = image.shape[-2:]
        sizes = {
            "downsample_factor": self.downsample_factor,
            "max_image_tokens": self.max_image_tokens,
            "encoder_patch_size": self.encoder_patch_size,
        }
        whole_width, whole_height = self.smart_resize(
            height, width, min_image_tokens=self.min_image_tokens, **sizes
        )
        whole = self.resize(image, SizeDict(height=whole_height, width=whole_width), resample)
        tolerance = self.max_pixels_tolerance
        large = self._is_image_too_large(height, width, max_pixels_tolerance=tolerance, **sizes)
        if not large:
            return [whole], 1, 1, [whole_height, whole_width]
        columns, rows, target_width, target_height, _ = self._get_grid_layout(
            height, width, self.min_tiles, self.max_tiles, self.tile_size
        )
        resized = self.resize(image, SizeDict(height=target_height, width=target_width), resample)
        side = self.tile_size
        tiles = [
            resized[:, r * side : (r + 1) * side, c * side : (c + 1) * side]
            for r in range(rows)
            for c in range(columns)
        ]
        views = [*tiles, whole] if rows * columns > 1 else tiles
        return views, rows, columns, [whole_height, whole_width]

    def _preprocess(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:  # pyright: ignore[reportIncompatibleMethodOverride]
        data: dict[str, Any] = {
            name: []
            for name in (*self.model_input_names, "image_rows", "image_cols", "image_sizes")
        }
        most = max(self.max_image_tokens * 4, (self.tile_size // self.encoder_patch_size) ** 2)
        for image in images:
            views, rows, columns, size = self.views(image, kwargs["resample"])
            data["image_rows"].append(rows)
            data["image_cols"].append(columns)
            data["image_sizes"].append(size)
            for view in views:
                patches, shape = self._patches(view.astype(np.float32) / 127.5 - 1)
                blank = np.zeros((most - len(patches), patches.shape[1]), dtype=np.float32)
                data["pixel_values"].append(np.concatenate([patches, blank]))
                data["pixel_attention_mask"].append([i < len(patches) for i in range(most)])
                data["spatial_shapes"].append(shape)
        data["pixel_attention_mask"] = np.array(data["pixel_attention_mask"]).astype(np.int32)
        return BatchFeature(data, tensor_type=kwargs["return_tensors"])

    def _patches(self, view: np.ndarray) -> tuple[np.ndarray, list[int]]:
        patch = self.encoder_patch_size
        rows, columns = view.shape[1] // patch, view.shape[2] // patch
        cut = view.reshape(3, rows, patch, columns, patch).transpose(1, 3, 2, 4, 0)
        return cut.reshape(rows * columns, -1), [rows, columns]


for _name, _chooser in CHOOSERS.items():
    setattr(Lfm2VlImages, _name, _chooser)
