"""Compose embedded scenes: things on a background, with exact masks, from a seed alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from retinoscope.data.scenes.background import paint_background
from retinoscope.data.scenes.colour import colour_word
from retinoscope.data.scenes.language import Fact, position_word
from retinoscope.data.scenes.layout import SIZE, Placement, arrange, third
from retinoscope.data.scenes.sprites import SpriteSplit, renditions


@dataclass(frozen=True)
class SceneObject:
    """One thing of a scene.

    Attributes:
        name: class name.
        mask: the pixels where it is seen, (192, 192); what hides it is cut out.
        whole: the pixels that it covers, seen or hidden, (192, 192).
        box: (left, top, right, bottom) of the mask in pixels, right and bottom exclusive.
        row: third of the image its box is centred in, 0 (top) to 2.
        column: third of the image its box is centred in, 0 (left) to 2.
        colour: basic colour word: the one it was painted in, else measured from its pixels.
        painted: whether it was painted, so that its colour is beyond doubt.
        size: longest side of the whole thing in pixels.
    """

    name: str
    mask: Bool[np.ndarray, "192 192"]
    whole: Bool[np.ndarray, "192 192"]
    box: tuple[int, int, int, int]
    row: int
    column: int
    colour: str
    painted: bool
    size: float

    @property
    def position(self) -> str:
        """Where it is: "left", "top right", ... or "center"."""
        return position_word(self.row, self.column)

    @property
    def fact(self) -> Fact:
        """What language needs to know of it."""
        return Fact(self.name, self.row, self.column, self.colour)


@dataclass(frozen=True)
class Scene:
    """A composed image with everything that is known of it.

    Attributes:
        image: RGB, (192, 192, 3), 0 to 255.
        objects: one to three things, from back to front.
        theme: where such things are seen ("kitchen").
        seed: seed of the collection.
        index: number of the scene in it.
    """

    image: UInt8[np.ndarray, "192 192 3"]
    objects: tuple[SceneObject, ...]
    theme: str
    seed: int
    index: int

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The things as language sees them."""
        return tuple(o.fact for o in self.objects)


def compose(seed: int, index: int, sprites: SpriteSplit = "train") -> Scene:
    """Compose one scene; the same arguments always give the same pixels.

    Args:
        seed: seed of the collection, 0 or more.
        index: number of the scene, 0 or more.
        sprites: "train" for the sets the embedded model was trained on, "heldout" for the one
            it never saw.

    Returns:
        The scene.

    Raises:
        DataError: `sprites` is unknown.
    """
    rng = np.random.default_rng((seed, index))
    theme, placements = arrange(rng)
    pixels = paint_background(theme, SIZE, rng)
    layers = []
    for placement in placements:
        colour, alpha = _draw(placement, sprites, rng)
        pixels += alpha[..., None] * (colour - pixels)
        layers.append((alpha, colour))
    image = pixels + rng.normal(0, rng.uniform(0, 6), pixels.shape).astype(np.float32)
    objects = []
    hidden = np.zeros((SIZE, SIZE), bool)
    for placement, (alpha, colour) in reversed(list(zip(placements, layers, strict=True))):
        whole = alpha > 0.5
        seen = whole & ~hidden
        hidden |= whole
        objects.append(_describe(placement, seen, whole, colour))
    return Scene(image.clip(0, 255).astype(np.uint8), tuple(reversed(objects)), theme, seed, index)


def _draw(
    placement: Placement, sprites: SpriteSplit, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "192 192 3"], Float32[np.ndarray, "192 192"]]:
    """Draw one thing on an empty canvas: its colours, and its alpha in [0, 1]."""
    sets = renditions(placement.name, sprites)
    chosen = sets[rng.integers(len(sets))]
    sprite = Image.fromarray(jitter(chosen[rng.integers(len(chosen))], rng))
    if rng.random() < 0.5:
        sprite = sprite.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle = rng.normal(0, 10)
    stretch = np.sqrt(rng.uniform(0.86, 1.16))
    scale = placement.size / max(sprite.width * stretch, sprite.height / stretch)
    shape = (
        max(4, round(sprite.width * stretch * scale)),
        max(4, round(sprite.height / stretch * scale)),
    )
    # Colours are weighted by alpha while they are resampled, or edges would turn dark.
    sprite = sprite.convert("RGBa").resize(shape, Image.Resampling.BILINEAR, reducing_gap=2.0)
    sprite = sprite.rotate(angle, Image.Resampling.BILINEAR, expand=True).convert("RGBA")
    canvas = Image.new("RGBA", (SIZE, SIZE))
    corner = (round(placement.x - sprite.width / 2), round(placement.y - sprite.height / 2))
    canvas.paste(sprite, corner)
    drawn = np.asarray(canvas, np.float32)
    return drawn[..., :3], drawn[..., 3] / 255


def jitter(sprite: UInt8[np.ndarray, "h w 4"], rng: np.random.Generator) -> np.ndarray:
    """Vary contrast, saturation and tint of a sprite, not its alpha."""
    colour = sprite[..., :3].astype(np.float32)
    colour = (colour - 128) * rng.uniform(0.75, 1.2) + 128 + rng.normal(0, 10, 3)
    grey = colour.mean(-1, keepdims=True)
    colour = grey + (colour - grey) * rng.uniform(0.65, 1.25)
    jittered = np.empty_like(sprite)
    jittered[..., :3] = colour.clip(0, 255)
    jittered[..., 3] = sprite[..., 3]
    return jittered


def _describe(
    placement: Placement,
    seen: Bool[np.ndarray, "192 192"],
    whole: Bool[np.ndarray, "192 192"],
    colour: Float32[np.ndarray, "192 192 3"],
) -> SceneObject:
    left, top, right, bottom = mask_box(seen)
    return SceneObject(
        name=placement.name,
        mask=seen,
        whole=whole,
        box=(left, top, right, bottom),
        row=third((top + bottom) / 2),
        column=third((left + right) / 2),
        colour=colour_word(colour[seen]),
        painted=False,
        size=placement.size,
    )


def mask_box(mask: Bool[np.ndarray, "192 192"]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a mask in pixels, right and bottom exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
