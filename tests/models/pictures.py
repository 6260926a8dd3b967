"""Pictures of noise in awkward shapes."""

from __future__ import annotations

import numpy as np
from PIL import Image

SIZES = {
    "square": (112, 112),
    "wide": (190, 80),
    "tall": (67, 203),
    "tiny": (31, 40),
    "huge": (703, 507),
    "prime": (101, 97),
}


def picture(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Noise of a (width, height): every pixel tells itself from its neighbours."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(noise)
