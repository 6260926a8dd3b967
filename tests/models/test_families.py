"""The token map of every family is proved on real classes with random weights.

Images are resampled to the nearest pixel, so that each pixel of the model's input is one pixel of
the original image and what a token saw has sharp edges; the vision tower's attention is silenced,
so that a token sees its own cell alone. Both are the model's and the processor's own settings; the
geometry does not depend on them.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from PIL import Image

from retinoscope.errors import SampleError, TokenMapError
from retinoscope.geometry import UnplacedGrid
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.encode import Encoded, encode
from retinoscope.models.family import RUNNING, SEVERAL_IMAGES, TOKEN_MAP, families, family_of
from retinoscope.models.vision import first_states, local_vision, shared_vision
from retinoscope.tokens import VisualSpan, row, under
from tests.models import tiny_families
from tests.models.pictures import SIZES, picture

pytestmark = pytest.mark.filterwarnings(
    # PaliGemma's processor makes an array of a tensor.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

NEAREST = 0
BLENDED = ("llava_onevision_shrunk",)
"""Families that blend neighbouring patches: a token may see one cell beyond its own."""
RESIZED_TWICE = ("idefics3", "smolvlm")

Boxes = Float[np.ndarray, "cells 4"]
each_family = pytest.mark.parametrize("kind", tiny_families.PLACED)
each_size = pytest.mark.parametrize("shape", SIZES)


@cache
def sharp(kind: str) -> Checkpoint:
    return tiny_families.PLACED[kind](resample=NEAREST)


def inverted(image: Image.Image, mask: Bool[np.ndarray, "height width"]) -> Image.Image:
    """The image with the masked pixels changed, each channel by 128."""
    pixels = np.array(image)
    pixels[mask] ^= 128
    return Image.fromarray(pixels)


def states(found: Checkpoint, encoded: Encoded) -> torch.Tensor:
    with local_vision(found):
        return first_states(found, encoded.inputs)[0]


@cache
def clean(kind: str, shape: str) -> tuple[Image.Image, VisualSpan, torch.Tensor]:
    """A picture, its visual tokens and the first states of its prompt."""
    image = picture(SIZES[shape])
    encoded = encode(sharp(kind), image, "Is there a dog ?")
    (span,) = encoded.layout.spans
    return image, span, states(sharp(kind), encoded)


def changed(before: torch.Tensor, after: torch.Tensor) -> set[int]:
    return set(torch.nonzero((before - after).abs().amax(-1) > 1e-5).flatten().tolist())


def pixels_of(box: Float[np.ndarray, " 4"], size: tuple[int, int], shrink: float) -> tuple:
    """The whole pixels that lie in a box which is shrunk on all sides, as slices (may be empty)."""
    x0, y0 = np.ceil(np.maximum(box[:2] + shrink, 0)).astype(int)
    x1, y1 = np.floor(np.minimum(box[2:] - shrink, size)).astype(int)
    return slice(y0, max(y0, y1)), slice(x0, max(x0, x1))


def touches(mask: Bool[np.ndarray, "height width"], boxes: Boxes, grow: Boxes) -> list[bool]:
    """Whether the mask has a pixel in each box after it is grown (or shrunk) on each side."""
    height, width = mask.shape
    grown = boxes + np.array([-1, -1, 1, 1]) * grow
    low = np.clip(np.floor(grown[:, :2]), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(grown[:, 2:]), 0, (width, height)).astype(int)
    return [bool(mask[y0:y1, x0:x1].any()) for (x0, y0), (x1, y1) in zip(low, high, strict=True)]


def pitch(boxes: Boxes) -> Boxes:
    """Width and height of each cell, twice, to be laid on both corners of a box."""
    return np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def assert_names(
    kind: str, span: VisualSpan, mask: Bool[np.ndarray, "height width"], moved: set[int]
) -> None:
    """What changed is what the map names for a mask made of whole parts of cells."""
    boxes = span.grid.boxes
    beyond = 1.0 + (pitch(boxes) if kind in BLENDED else 0.0)
    may = touches(mask, boxes, np.broadcast_to(beyond, boxes.shape))
    # A mask's part in a cell holds a pixel that the model reads if it is larger than the step
    # from one pixel of the model's input to the next: an eighth of a cell is two such steps.
    inner = boxes + np.array([1, 1, -1, -1]) * (pitch(boxes) / 8 + 1)
    if kind in BLENDED:
        # Of the patches that are blended only the nearest is certain.
        inner = np.tile((boxes[:, :2] + boxes[:, 2:]) / 2, 2) + np.array([-0.5, -0.5, 0.5, 0.5])
    core = [bool(mask[pixels_of(box, mask.shape[::-1], 0)].any()) for box in inner]
    for position, allowed, certain in zip(span.positions, may, core, strict=True):
        assert allowed or position not in moved, f"{position} changed outside its box"
        assert not certain or position in moved, f"{position} did not see its box"


@each_size
@each_family
def test_changing_the_pixels_of_cells_changes_the_tokens_that_the_map_names(
    kind: str, shape: str
) -> None:
    found = sharp(kind)
    image, span, before = clean(kind, shape)
    rng = np.random.default_rng(1)
    for _ in range(2):
        mask = np.zeros(image.size[::-1], dtype=bool)
        chosen = rng.random(len(span.grid)) < 0.5
        chosen[0] |= not chosen.any()
        for box in span.grid.boxes[chosen]:
            mask[pixels_of(box, image.size, 1.5)] = True
        after = states(found, encode(found, inverted(image, mask), "Is there a dog ?"))
        moved = changed(before, after)
        assert moved <= set(span.positions), "a position that is no cell changed"
        assert moved
        assert_names(kind, span, mask, moved)


@each_size
@each_family
def test_a_token_sees_nothing_outside_its_box(kind: str, shape: str) -> None:
    found = sharp(kind)
    image, span, before = clean(kind, shape)
    index = int(np.random.default_rng(2).integers(len(span.grid)))
    reach = 2 + (pitch(span.grid.boxes)[index, 0] if kind in BLENDED else 0)
    mask = np.ones(image.size[::-1], dtype=bool)
    mask[pixels_of(span.grid.boxes[index], image.size, -reach)] = False
    after = states(found, encode(found, inverted(image, mask), "Is there a dog ?"))
    assert span.positions[index] not in changed(before, after)


@each_size
@each_family
def test_every_visual_token_has_a_cell_in_the_image_or_its_padding(kind: str, shape: str) -> None:
    size = SIZES[shape]
    _, span, _ = clean(kind, shape)
    boxes, cells = span.grid.boxes, span.grid.cells
    assert len(span.positions) == len(boxes) == len({tuple(cell) for cell in cells.tolist()})
    for level in set(cells[:, 0].tolist()):
        own = boxes[cells[:, 0] == level]
        x0, y0, x1, y1 = *own[:, :2].min(0), *own[:, 2:].max(0)
        area = ((own[:, 2] - own[:, 0]) * (own[:, 3] - own[:, 1])).sum()
        assert area == pytest.approx((x1 - x0) * (y1 - y0)), "a level has holes or overlaps"
        inside = (np.minimum(own[:, 2:], size) - np.maximum(own[:, :2], 0)).min(-1)
        assert (inside > 0).any()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


@each_family
def test_several_images_keep_their_tokens_apart(kind: str) -> None:
    found = sharp(kind)
    images = [picture(SIZES["wide"]), picture(SIZES["square"], seed=3)]
    if SEVERAL_IMAGES not in found.family.verified:
        with pytest.raises(SampleError, match="refused 2 image"):
            encode(found, images, "Is there a dog ?")
        return
    encoded = encode(found, images, "Is there a dog ?")
    first, second = encoded.layout.spans
    assert (first.grid.size, second.grid.size) == (SIZES["wide"], SIZES["square"])
    mask = np.zeros(SIZES["square"][::-1], dtype=bool)
    mask[pixels_of(second.grid.boxes[5], SIZES["square"], 1.5)] = True
    after = encode(found, [images[0], inverted(images[1], mask)], "Is there a dog ?")
    moved = changed(states(found, encoded), states(found, after))
    assert moved and moved <= set(second.positions)
    assert_names(kind, second, mask, moved)


@each_family
def test_the_real_resampling_moves_the_same_tokens(kind: str) -> None:
    found = tiny_families.PLACED[kind]()
    image = picture(SIZES["huge"])
    encoded = encode(found, image, "Is there a dog ?")
    (span,) = encoded.layout.spans
    fine = np.flatnonzero(span.grid.cells[:, 0] == span.grid.cells[:, 0].max())
    index = int(np.random.default_rng(4).choice(fine))
    box = span.grid.boxes[index]
    # Lanczos, the widest filter in use, reaches three pixels of the model's input; where an image
    # is resized more than once, faint traces reach the neighbours.
    mask = np.zeros(image.size[::-1], dtype=bool)
    mask[pixels_of(box, image.size, 0.22 * (box[2] - box[0]))] = True
    assert mask.any()
    before = states(found, encoded)
    after = states(found, encode(found, inverted(image, mask), "Is there a dog ?"))
    position, moved = span.positions[index], changed(before, after)
    level = {span.positions[i] for i in fine.tolist()}
    assert position in moved <= set(span.positions)
    near = encoded.layout.neighbours[position] if kind in (*BLENDED, *RESIZED_TWICE) else ()
    assert moved & level <= {position, *near}
    change = (before - after).abs().amax(-1)
    assert max(level, key=lambda p: float(change[p])) == position


@each_family
def test_shared_vision_is_exact_and_computed_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, image = sharp(kind), picture(SIZES["wide"])
    prompts = [encode(found, image, question) for question in ("Is there a dog ?", "Describe")]
    other = encode(found, picture(SIZES["wide"], seed=9), "Describe")
    with torch.no_grad():
        plain = [found.model(**e.inputs).logits for e in (*prompts, other)]
    owner, calls = found.model.model, []
    compute = owner.get_image_features

    def counted(*args: object, **kwargs: object) -> object:
        calls.append(1)
        return compute(*args, **kwargs)

    monkeypatch.setattr(owner, "get_image_features", counted)
    with shared_vision(found), torch.no_grad():
        shared = [found.model(**e.inputs).logits for e in (*prompts, other)]
    assert len(calls) == 2
    assert all(torch.equal(a, b) for a, b in zip(plain, shared, strict=True))


WITHOUT_PLACE = {
    "mllama": (0, "cross-attention"),
    "blip2": (tiny_families.QUERIES, "Q-Former"),
    "instructblip": (tiny_families.QUERIES, "Q-Former"),
    "got_ocr2": (256, "convolutions blend"),
    "idefics2": (tiny_families.QUERIES, "Perceiver"),
    "aria": (tiny_families.QUERIES, "projector"),
    "emu3": (5 * 12, "VQ-VAE"),
    "fast_vlm": (64, "convolutions blend"),
}
"""How many visual tokens an image has, and why they have no place."""


@pytest.mark.parametrize("kind", tiny_families.UNPLACED)
def test_models_without_spatial_tokens_run_and_say_why_they_have_no_map(kind: str) -> None:
    found = tiny_families.UNPLACED[kind]()
    image = picture(SIZES["wide"])
    encoded = encode(found, image, "Is there a dog ?")
    with torch.no_grad():
        logits = found.model(**encoded.inputs).logits
    assert logits.shape[1] == encoded.layout.length and logits.isfinite().all()
    count, why = WITHOUT_PLACE[kind]
    assert len(encoded.layout.visual) == count
    with pytest.raises(TokenMapError, match=why):
        under(encoded.layout, np.ones(image.size[::-1], dtype=bool))
    with pytest.raises(TokenMapError, match=why):
        row(encoded.layout, -1)


@pytest.mark.parametrize(
    ("kind", "guessed"), [("llava", True), ("qwen2_vl", True), ("internvl", False)]
)
def test_an_unknown_model_is_guessed_or_left_without_a_map(kind: str, guessed: bool) -> None:
    known = sharp(kind)
    unheard = family_of("never-heard-of")
    spoken = replace(unheard, prompt=known.family.prompt, image=known.family.image)
    unknown = replace(known, family=spoken)
    image = picture(SIZES["wide"])
    layout = encode(unknown, image, "Is there a dog ?").layout
    expected = encode(known, image, "Is there a dog ?").layout
    assert layout.visual == expected.visual
    if guessed:
        assert layout == expected
    else:
        assert isinstance(layout.spans[0].grid, UnplacedGrid)
        with pytest.raises(TokenMapError, match="no family describes how a 'internvl' model"):
            under(layout, np.ones(image.size[::-1], dtype=bool))
    assert unknown.family.unverified


def test_a_processor_of_another_model_is_refused() -> None:
    found = sharp("internvl")
    processor = copy(found.processor)
    processor.image_seq_length = 9
    with pytest.raises(TokenMapError, match="does not fit the model"):
        encode(replace(found, processor=processor), picture(SIZES["wide"]), "Is there a dog ?")


def test_what_a_family_says_is_verified_is_what_is_tested_here() -> None:
    placed = {sharp(kind).model.config.model_type for kind in tiny_families.PLACED}
    unplaced = {kind().model.config.model_type for kind in tiny_families.UNPLACED.values()}
    for model_type, family in families().items():
        assert (TOKEN_MAP in family.verified) == (model_type in placed)
        assert (RUNNING in family.verified) == (model_type in unplaced)
        assert family.unverified
