"""Video processors without torchvision: transformers' own around Pillow's resizing of each frame.

Sizes, crops, patches and their order are the real classes'; only the pixel operations that
torchvision offers stand here. Qwen2-VL's class can't be imported without torchvision: it is
Qwen3-VL's, whose patches are the same, with the size that Qwen2-VL's image processor chooses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.image_transforms import get_resize_output_image_size
from transformers.image_utils import ChannelDimension, SizeDict
from transformers.models.llava_next_video.video_processing_llava_next_video import (
    LlavaNextVideoVideoProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from transformers.models.video_llava.video_processing_video_llava import VideoLlavaVideoProcessor
from transformers.video_processing_utils import BaseVideoProcessor

from tests.models.tiny_parts import PATCH, SIDE


class PillowFrames(BaseVideoProcessor):
    """Pixel operations on frames [..., channels, height, width]."""

    def convert_to_rgb(self, video: torch.Tensor) -> torch.Tensor:
        """Frames are RGB already."""
        assert video.shape[-3] == 3
        return video

    def resize(
        self, image: torch.Tensor, size: SizeDict, resample: Any = None, **_: Any
    ) -> torch.Tensor:
        """Every frame by itself."""
        flat = image.reshape(-1, *image.shape[-3:])
        if size.shortest_edge and not size.height:
            height, width = get_resize_output_image_size(
                flat[0].numpy(),
                size=size.shortest_edge,
                default_to_square=False,
                input_data_format=ChannelDimension.FIRST,
            )
        else:
            height, width = size.height, size.width
        frames = [
            np.asarray(
                Image.fromarray(frame.permute(1, 2, 0).numpy()).resize((width, height), resample)
            )
            for frame in flat
        ]
        found = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
        return found.reshape(*image.shape[:-2], height, width)

    def center_crop(self, image: torch.Tensor, size: SizeDict, **_: Any) -> torch.Tensor:
        """The centre, as torchvision's crop begins; no frame here is smaller than it."""
        assert size.height is not None and size.width is not None
        top = int((image.shape[-2] - size.height) / 2)
        left = int((image.shape[-1] - size.width) / 2)
        return image[..., top : top + size.height, left : left + size.width]

    def normalize(self, image: torch.Tensor, mean: Any, std: Any, **_: Any) -> torch.Tensor:
        """Each channel by its mean and deviation."""
        mean, std = (torch.as_tensor(of)[:, None, None] for of in (mean, std))
        return (image - mean) / std


class LlavaNextVideos(LlavaNextVideoVideoProcessor, PillowFrames):
    """LLaVA-NeXT-Video's."""


class VideoLlavaVideos(VideoLlavaVideoProcessor, PillowFrames):
    """Video-LLaVA's."""


class Qwen3Videos(Qwen3VLVideoProcessor, PillowFrames):
    """Qwen3-VL's: it chooses the size and calls the next class's `resize`."""


class Qwen2Videos(Qwen3VLVideoProcessor, PillowFrames):
    """Qwen2-VL's and Qwen2.5-VL's: the size that each frame has by itself."""

    def resize(self, videos: Any, size: Any, resample: Any, factor: int, **_: Any) -> Any:
        """Choose the size, and resize."""
        height, width = smart_resize(
            *videos.shape[-2:],
            factor=factor,
            min_pixels=size.shortest_edge,
            max_pixels=size.longest_edge,
        )
        return PillowFrames.resize(self, videos, SizeDict(height=height, width=width), resample)


CROPPED = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
QWEN = {
    "patch_size": PATCH,
    "size": {"shortest_edge": 56**2, "longest_edge": 224**2},
    "cap_pixels_per_frame": False,
}
