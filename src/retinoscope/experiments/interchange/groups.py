"""Groups of positions whose states are exchanged: the object, what surrounds it, and the text."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool

from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target, random_source
from retinoscope.tokens import TokenLayout, TokenSet, at, last, visual

NEAR = 2
"""Patches around the object that are near."""

GROUPS = ("object", "other objects", "near", "far", "matched", "question", "last")
"""In the order of a report."""


def groups_of(
    layout: TokenLayout,
    target: Target,
    mask: Bool[np.ndarray, "height width"],
    settings: Settings,
) -> dict[str, tuple[int, ...]]:
    """Positions by name; a group without any is left out.

    Apart from "matched" they share no position and hold everything from the image on. "matched" is
    the control: as many visual tokens as the object has, drawn from beyond one patch around it.

    Args:
        layout: of both prompts.
        target: the object.
        mask: where the two images differ.
        settings: for the overlap that makes a patch an object's, and the seed.

    Raises:
        SelectionError: the object covers no patch.
    """
    own = object_tokens(layout, mask, settings)
    others = at(layout, ())
    for other in target.others:
        others |= object_tokens(layout, target.mask_of(other), settings)
    others -= own
    near = (own.dilate(NEAR) & visual(layout)) - own - others
    far = visual(layout) - own - near - others
    pool = visual(layout) - own.dilate(1)
    seed = int(random_source(settings.seed, target.annotation.object_id, "matched").integers(2**31))
    end = last(layout)
    question = at(layout, [p for p in layout.text if p > layout.visual[0]]) - end
    found: dict[str, TokenSet] = {
        "object": own,
        "other objects": others,
        "near": near,
        "far": far,
        "matched": pool.draw(min(len(own), len(pool)), seed),
        "question": question,
        "last": end,
    }
    return {name: tuple(tokens) for name, tokens in found.items() if tokens}
