"""Selections: which visual tokens an ablation replaces, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from retinoscope.engine import Recording
from retinoscope.experiments.settings import Settings, buffer_name
from retinoscope.experiments.target import random_source
from retinoscope.geometry import whole_pixel_pitch
from retinoscope.tokens import TokenLayout, TokenSet, at, under, visual


@dataclass(frozen=True)
class Selection:
    """A named set of visual tokens, as in AblationRecord.

    Attributes:
        name: "object", "object+1", "register", "random", "gradients", ...
        tokens: the tokens.
        size: the n asked for, for "random" and "gradients" that are not matched; else 0.
        matched: the selection whose size it has, for "random" and "gradients"; else "".
    """

    name: str
    tokens: TokenSet
    size: int = 0
    matched: str = ""


@dataclass(frozen=True)
class Missing:
    """A selection that can't be had for this object, and why."""

    condition: str
    reason: str


def object_tokens(
    layout: TokenLayout, mask: Bool[np.ndarray, "height width"], settings: Settings
) -> TokenSet:
    """Visual tokens on an object (paper, section 3.1), as the settings and their protocol say.

    Raises:
        SelectionError: the mask covers no patch, or has another size than the image.
    """
    seen = layout
    if settings.protocol.whole_pixel_pitch:
        spans = (replace(span, grid=whole_pixel_pitch(span.grid)) for span in layout.spans)
        seen = replace(layout, spans=tuple(spans))
    return at(layout, under(seen, mask, overlap=settings.overlap))


def object_selections(tokens: TokenSet, settings: Settings) -> list[Selection]:
    """The object's tokens with each buffer."""
    return [Selection(buffer_name(b), tokens.dilate(b)) for b in settings.buffers]


def register_selection(recording: Recording, deviations: float = 2.0) -> Selection:
    """Register tokens: visual tokens of unusually high norm at the language model's input.

    Paper, section 3.1: norm above the image's mean + 2 standard deviations. An image may have none.

    Args:
        recording: a clean run of the image.
        deviations: how many standard deviations above the mean.
    """
    everything = visual(recording.encoded.layout)
    positions = list(everything)
    norms = recording.residual(0)[positions].float().norm(dim=-1)
    threshold = norms.mean() + deviations * norms.std()
    chosen = [p for p, high in zip(positions, (norms > threshold).tolist(), strict=True) if high]
    return Selection("register", at(recording.encoded.layout, chosen))


def random_selections(
    layout: TokenLayout, object_id: int, sizes: Sequence[int], settings: Settings
) -> list[Selection]:
    """Random sets of fixed sizes, drawn from all visual tokens, as the paper's are."""
    everything = visual(layout)
    return [
        Selection(
            "random",
            everything.draw(size, _seed(settings, object_id, f"random-{size}")),
            size=size,
        )
        for size in fitting_sizes(sizes, len(everything))
    ]


def matched_selections(
    objects: list[Selection], object_id: int, settings: Settings
) -> list[Selection | Missing]:
    """A random set for each object selection: of its size in this image, drawn outside it."""
    everything = visual(objects[0].tokens.layout)
    found: list[Selection | Missing] = []
    for selection in objects:
        pool, needed = everything - selection.tokens, len(selection.tokens)
        seed = _seed(settings, object_id, f"matched-{selection.name}")
        if needed > len(pool):
            reason = f"{needed} tokens are wanted but only {len(pool)} lie outside"
            found.append(Missing(f"random matched to {selection.name}", reason))
        else:
            drawn = pool.draw(needed, seed)
            found.append(Selection("random", drawn, matched=selection.name))
    return found


def gradient_selections(
    ranked: Sequence[int], objects: list[Selection], sizes: Sequence[int]
) -> list[Selection]:
    """The tokens with the highest integrated gradients: fixed sizes, and as many as the object's.

    Args:
        ranked: positions, the highest score first.
        objects: the object's selections.
        sizes: the fixed sizes.
    """
    layout = objects[0].tokens.layout
    fixed = [
        Selection("gradients", at(layout, ranked[:size]), size=size)
        for size in fitting_sizes(sizes, len(ranked))
    ]
    matched = [
        Selection("gradients", at(layout, ranked[: len(s.tokens)]), matched=s.name) for s in objects
    ]
    return fixed + matched


def fitting_sizes(sizes: Sequence[int], available: int) -> list[int]:
    """The sizes of fixed sets that an image has tokens for; larger ones don't exist there."""
    return [size for size in sizes if size <= available]


def noise_seed(selection: Selection, object_id: int, settings: Settings) -> int:
    """The seed of the noise that stands in one selection's place."""
    purpose = f"noise-{selection.name}/{selection.matched}/{selection.size}"
    return _seed(settings, object_id, purpose)


def _seed(settings: Settings, object_id: int, purpose: str) -> int:
    return int(random_source(settings.seed, object_id, purpose).integers(2**31))
