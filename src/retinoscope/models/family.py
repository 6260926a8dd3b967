"""A family: how one kind of VLM lays images and videos out and how it is spoken to."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool

from retinoscope.brief import brief_fields
from retinoscope.errors import ModelError, RegistrationError
from retinoscope.geometry import PatchGrid
from retinoscope.registry import members, registered

Geometry = Callable[[Any, Any, tuple[int, int], Mapping[str, Any], int], PatchGrid]
"""(model config, processor, original (width, height), processor outputs, image index) -> grid."""

FrameGroup = tuple[tuple[int, ...], PatchGrid]
"""Frames that share tokens, and the cells that each token shows of all of them."""

VideoGeometry = Callable[
    [Any, Any, tuple[int, int], int, Mapping[str, Any], int], Sequence[FrameGroup]
]
"""(model config, processor, original (width, height), number of frames, processor outputs, video
index) -> the groups of frames, in the order of their tokens."""

Slots = Callable[[PatchGrid], Bool[np.ndarray, " image_tokens"]]
"""grid -> for each image token of the image in the sequence, whether it is a cell of the grid."""


PromptForm = Callable[[Any], str]
"""processor -> the prompt's form, where checkpoints of one family are spoken to differently."""


def every_slot(grid: PatchGrid) -> Bool[np.ndarray, " image_tokens"]:
    """Each image token is a cell: no newline or separator shares the image token's id."""
    return np.ones(len(grid), dtype=bool)


@dataclass(frozen=True)
class Videos:
    """How a family lays videos out.

    Attributes:
        groups: the geometry of one video, from the same numbers that the processor used.
        form: the form of one video in a prompt; "{token}", the video token, is filled in.
        slots: which of the tokens of a group of frames are cells.
    """

    groups: VideoGeometry
    form: str = "{token}"
    slots: Slots = every_slot


TOKEN_MAP = "token map: each cell's pixels move its own token, in images of six shapes"
SEVERAL_IMAGES = "several images in one prompt"
SHARED_VISION = "vision features shared by prompts are exact"
LOADING = "saved and loaded again without torchvision"
RUNNING = "loads and runs; asking for a place in the image is refused with the reason"
VIDEOS = "videos: each cell's pixels in a frame move its own token, around a stand-in for resizing"
PROVED = (TOKEN_MAP, SEVERAL_IMAGES, SHARED_VISION, LOADING)
"""What the tests prove of a family on transformers' own model, image processor and processor."""

RESAMPLED = "resampling of videos and loading their processor: both need torchvision"
RELEASED = "released weights and their processors' files: the tests use random weights"
"""What no test here could see; `retinoscope check` asks a model of one's own."""


@dataclass(frozen=True)
class Family:
    """One kind of VLM; each is one file in `retinoscope.models.families` with a FAMILY constant.

    Attributes:
        name: what people call it.
        model_types: `config.model_type` of the checkpoints that belong to it.
        grid: the geometry of one image, from the same numbers that the processor used.
        prompt: the prompt's form where the processor brings no chat template, or what finds it for
            a processor; "{image}" and "{question}" are filled in.
        image: the form of one image in that prompt; "{token}", the image token, is filled in.
        slots: which of an image's tokens in the sequence are cells; the rest (LLaVA-NeXT's
            newlines) belong to neither the image nor the text of the user.
        videos: how it lays videos out; None where it takes none, or where that is not known here.
        verified: what the tests prove of it on the real model, image processor and processor
            classes.
        unverified: what they could not prove, and why.
    """

    name: str
    model_types: tuple[str, ...]
    grid: Geometry
    prompt: str | PromptForm = "USER: {image}\n{question} ASSISTANT:"
    image: str = "{token}"
    slots: Slots = every_slot
    videos: Videos | None = None
    verified: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()

    __repr__ = brief_fields


@functools.cache
def families() -> Mapping[str, Family]:
    """Every family by model type, ours one module of `retinoscope.models.families` each.

    Raises:
        RegistrationError: one of somebody else's can't be had.
    """
    own = members("retinoscope.models.families", "FAMILY")
    found: dict[str, Family] = {}
    for family in registered("retinoscope.families", Family, own):
        taken = [kind for kind in family.model_types if kind in found]
        if taken:
            raise RegistrationError(
                f"The family {family.name!r} takes the model types {', '.join(taken)}, which "
                f"{found[taken[0]].name!r} has already. Leave them out of one of the two."
            )
        found |= dict.fromkeys(family.model_types, family)
    return MappingProxyType(found)


def family_named(family: Family | str) -> Family:
    """A family by its name or a model type of its, in any case; a family itself is that.

    Raises:
        ModelError: there is none of that name.
    """
    if isinstance(family, Family):
        return family
    known = {one.name.lower(): one for one in families().values()}
    known |= {kind.lower(): one for kind, one in families().items() if kind}
    if not isinstance(family, str) or family.lower() not in known:
        names = sorted({one.name for one in families().values()}, key=str.lower)
        raise ModelError(
            f"There is no family {family!r}; give one of {', '.join(names)}, a model type, or a "
            "Family of your own."
        )
    return known[family.lower()]


def family_of(model_type: str) -> Family:
    """The family of a model type; `families.unknown` for one that no file covers.

    An unknown model is tried with a geometry that is guessed from its inputs; `unverified` of the
    family says so.
    """
    known = families()
    return known.get(model_type, known[""])
