"""The pixels of one segment of a panoptic image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from retinoscope.data.images import opened
from retinoscope.data.samples import Segment
from retinoscope.errors import SampleError


def segment_mask(segment: Segment) -> Bool[np.ndarray, "height width"]:
    """Where the panoptic PNG holds the segment's number, R + 256 G + 65536 B.

    Raises:
        SampleError: the file is missing or broken, or its pixels are no 8-bit RGB.
    """
    with opened(segment.path) as image:
        if image.mode != "RGB":
            raise SampleError(
                f"{segment.path}: a panoptic image of mode {image.mode}; expected 8-bit RGB, whose "
                "pixels are numbers of segments. Fetch it again."
            )
        channels = np.asarray(image)
    wanted = np.array([segment.number >> shift & 255 for shift in (0, 8, 16)], np.uint8)
    return (channels == wanted).all(-1)
