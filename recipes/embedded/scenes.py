"""The scenes that a training sees: what is drawn, what is known of it, what can be asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Bool, UInt8
from numpy import ndarray

from recipes.embedded.asking import SHARES, Asker
from retinoscope.data.scenes.arrange import arrange
from retinoscope.data.scenes.compose import compose
from retinoscope.data.scenes.language import Fact
from retinoscope.data.scenes.layouts import Layout, LayoutKind
from retinoscope.data.scenes.render import render
from retinoscope.data.scenes.sprites import SpriteSplit

# Of every 50 scenes so many are of each kind, "composed" those of the first generation. A kind's
# scenes are numbered one after the other, as their classes and colours are dealt.
MIX: dict[LayoutKind | None, int] = {
    None: 16,
    "rows": 15,
    "groups": 8,
    "scatter": 3,
    "overlap": 2,
    "congruent": 2,
    "twins": 4,
}
ROUND = sum(MIX.values())
_KINDS: list[LayoutKind | None] = [kind for kind, count in MIX.items() for _ in range(count)]
_NUMBERS = [number for count in MIX.values() for number in range(count)]


@dataclass(frozen=True)
class Drawn:
    """A scene as training needs it.

    Attributes:
        image: RGB.
        facts: what language says of each thing.
        masks: the pixels where each thing is seen.
        layout: how its things were arranged; None for a composed scene.
    """

    image: UInt8[ndarray, "192 192 3"]
    facts: tuple[Fact, ...]
    masks: tuple[Bool[ndarray, "192 192"], ...]
    layout: Layout | None

    def asker(self, without: int | None = None) -> Asker:
        """Return what draws exchanges, as if one thing were not there."""
        kept = [i for i in range(len(self.facts)) if i != without]
        layout = self.layout
        if layout is not None:
            layout = replace(layout, things=tuple(layout.things[i] for i in kept))
        return Asker([self.facts[i] for i in kept], SHARES, kept, layout)


def draw_scene(seed: int, index: int, sprites: SpriteSplit) -> Drawn:
    """Draw one scene of a collection."""
    turn, slot = divmod(index, ROUND)
    # The slots are passed in steps that have no factor in common with their number, so that any
    # few scenes in a row are of several kinds.
    slot = slot * 7 % ROUND
    kind = _KINDS[slot]
    if kind is None:
        scene = compose(seed, index, sprites)
        return Drawn(scene.image, scene.facts, tuple(o.mask for o in scene.objects), None)
    scenes_of_kind = MIX[kind]
    layout = arrange(kind, seed, turn * scenes_of_kind + _NUMBERS[slot], sprites)
    picture = render(layout)
    return Drawn(picture.image, picture.facts, tuple(o.mask for o in picture.objects), layout)
