"""Draw one thing by itself, cropped to its box, for scenes that are laid out exactly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image

from retinoscope.data.scenes.compose import jitter
from retinoscope.data.scenes.paint import repaint
from retinoscope.data.scenes.sprites import SpriteSplit, renditions

KEPT = 64
"""How many of the last drawn things are kept: a scene and its minimal pairs share most of them."""

ROOM = 1.25
"""How much larger than in the scene a thing is while it is coloured and turned."""

_OVER_HALF = [255 * (alpha > 127) for alpha in range(256)]


@dataclass(frozen=True)
class Stamp:
    """A drawn thing.

    Attributes:
        colour: RGB, 0 to 255.
        alpha: how much it covers, 0 to 1.
    """

    colour: Float32[np.ndarray, "h w 3"]
    alpha: Float32[np.ndarray, "h w"]

    @property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """The pixels that it covers by more than half; they reach all four sides."""
        return self.alpha > 0.5

    @property
    def width(self) -> int:
        """In pixels."""
        return self.alpha.shape[1]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.alpha.shape[0]


@lru_cache(KEPT)
def stamp(name: str, size: int, paint: str | None, style: int, sprites: SpriteSplit) -> Stamp:
    """Draw a thing; the same arguments always give the same pixels.

    Args:
        name: class name.
        size: longest side of its box in pixels; the box may come out up to 2 pixels smaller.
        paint: one of `PAINTS`, or None for its own colours.
        style: seed of rendition, flip, rotation, stretch and shades.
        sprites: "train" or "heldout".
    """
    rng = np.random.default_rng(style)
    sets = renditions(name, sprites)
    chosen = sets[rng.integers(len(sets))]
    sprite = chosen[rng.integers(len(chosen))]
    gamma = rng.uniform(0.7, 1.3)
    flip = rng.random() < 0.5
    angle, stretch = float(rng.normal(0, 10)), float(np.sqrt(rng.uniform(0.86, 1.16)))
    small = _fit(Image.fromarray(sprite).convert("RGBa"), ROOM * size, stretch).convert("RGBA")
    if paint is None:
        varied = jitter(np.asarray(small), rng)
    else:
        varied = np.array(small)
        varied[..., :3] = repaint(varied[..., :3].astype(np.float32), paint, gamma)
    image = Image.fromarray(varied)
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    # Colours are weighted by alpha while they are resampled, or edges would turn dark.
    turned = image.convert("RGBa").rotate(angle, Image.Resampling.BILINEAR, expand=True)
    drawn = _crop(_fit(_crop(turned), size))
    pixels = np.asarray(drawn.convert("RGBA"), np.float32)
    return Stamp(pixels[..., :3], pixels[..., 3] / 255)


def _fit(image: Image.Image, size: float, stretch: float = 1.0) -> Image.Image:
    """Scale an image so that its longest side has a size; `stretch` makes it wider and lower."""
    width, height = image.width * stretch, image.height / stretch
    scale = size / max(width, height)
    shape = (max(4, round(width * scale)), max(4, round(height * scale)))
    return image.resize(shape, Image.Resampling.BILINEAR, reducing_gap=2.0)


def _crop(image: Image.Image) -> Image.Image:
    """Cut an image with alpha down to the box of what it covers by more than half."""
    return image.crop(image.getchannel("a").point(_OVER_HALF).getbbox())
