"""Tokens of videos are mapped to frame, row and column, proved as those of images are.

Each family's real processor and video processor, around Pillow's resizing (`video_frames`).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image

from retinoscope.errors import SampleError, SelectionError
from retinoscope.models import Video, encode
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.encode import Encoded
from retinoscope.models.family import VIDEOS, families
from retinoscope.models.vision import shared_vision
from retinoscope.tokens import OfVideo, VisualSpan, of_image, of_video, under
from tests.models import tiny_families
from tests.models.pictures import SIZES, picture
from tests.models.test_families import assert_names, changed, inverted, pixels_of, sharp, states

KINDS = [
    "llava_next_video",
    "video_llava",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "qwen3_vl_moe",
    "qwen3_5",
    "qwen3_5_moe",
]
MERGED = {kind: 2 if kind.startswith("qwen") else 1 for kind in KINDS}
"""How many frames share tokens."""
FRAMES = 5
each_kind = pytest.mark.parametrize("kind", KINDS)

pytestmark = pytest.mark.filterwarnings("ignore:returning `pixel_values_images`")


def clip(shape: str) -> Video:
    return Video([picture(SIZES[shape], seed=seed) for seed in range(FRAMES)], fps=2)


def with_frame(video: Video, index: int, frame: Image.Image) -> Video:
    frames = list(video.frames)
    frames[index] = frame
    return Video(frames, video.fps)


def asked(found: Checkpoint, video: Video) -> Encoded:
    """A prompt with an image before the video and text around both."""
    return encode(found, ["Is", picture((60, 50)), "there a", video, "dog ?"])


@cache
def clean(kind: str, shape: str) -> tuple[Video, tuple[VisualSpan, ...], torch.Tensor]:
    video = clip(shape)
    encoded = asked(sharp(kind), video)
    return video, of_video(encoded.layout, 0), states(sharp(kind), encoded)


@each_kind
def test_every_frame_is_in_one_group(kind: str) -> None:
    _, spans, _ = clean(kind, "wide")
    frames = [span.medium.frames for span in spans if isinstance(span.medium, OfVideo)]
    assert [frame for group in frames for frame in group] == list(range(FRAMES))
    assert {len(group) for group in frames[:-1]} == {MERGED[kind]}


@pytest.mark.parametrize("shape", ["wide", "tall"])
@each_kind
def test_changing_cells_of_one_frame_changes_the_tokens_that_the_map_names(
    kind: str, shape: str
) -> None:
    found, rng = sharp(kind), np.random.default_rng(1)
    video, spans, before = clean(kind, shape)
    for frame in (0, 3, FRAMES - 1):
        (span,) = (s for s in spans if isinstance(s.medium, OfVideo) and frame in s.medium.frames)
        chosen = rng.random(len(span.grid)) < 0.5
        chosen[0] |= not chosen.any()
        mask = np.zeros(video.size[::-1], dtype=bool)
        for box in span.grid.boxes[chosen]:
            mask[pixels_of(box, video.size, 1.5)] = True
        other = with_frame(video, frame, inverted(video.frames[frame], mask))
        moved = changed(before, states(found, asked(found, other)))
        assert moved and moved <= set(span.positions), "another frame, image or text changed"
        assert_names(kind, span, mask, moved)


@each_kind
def test_a_token_sees_nothing_outside_its_box_and_frames(kind: str) -> None:
    found = sharp(kind)
    video, spans, before = clean(kind, "square")
    index = int(np.random.default_rng(2).integers(len(spans[1].grid)))
    mask = np.ones(video.size[::-1], dtype=bool)
    mask[pixels_of(spans[1].grid.boxes[index], video.size, -2)] = False
    assert isinstance(spans[1].medium, OfVideo)
    frames = [
        inverted(frame, mask if number in spans[1].medium.frames else np.ones_like(mask))
        for number, frame in enumerate(video.frames)
    ]
    moved = changed(before, states(found, asked(found, Video(frames, 2))))
    assert spans[1].positions[index] not in moved
    assert set(spans[0].positions) & moved


@each_kind
def test_masks_of_frames_choose_the_tokens_that_show_them(kind: str) -> None:
    video, spans, _ = clean(kind, "wide")
    layout = asked(sharp(kind), video).layout
    cell = spans[1].grid.boxes[-1]
    mask = np.zeros(video.size[::-1], dtype=bool)
    mask[pixels_of(cell, video.size, 2)] = True
    assert isinstance(spans[1].medium, OfVideo)
    frame = spans[1].medium.frames[0]
    masks = np.zeros((FRAMES, *mask.shape), dtype=bool)
    masks[frame] = mask
    whole = under(layout, masks, spans=of_video(layout, 0))
    assert list(whole) == [spans[1].positions[-1]]
    assert whole == under(layout, [None, [m if m.any() else None for m in masks]])
    assert whole == under(layout, mask, spans=of_video(layout, 0, frame))
    assert whole.media == (spans[1].medium,)
    assert set(whole.dilate(9)) == set(spans[1].positions), "grew into another frame"
    masks[:] = False
    masks[frame] = True  # half of what a token of two frames shows
    assert len(under(layout, masks, spans=spans, overlap=0.4)) >= len(spans[1].grid) // 2
    if MERGED[kind] == 2:
        with pytest.raises(SelectionError, match="covers no patch by more than 60%"):
            under(layout, masks, spans=spans, overlap=0.6)
    for wrong in (masks[:-1], mask):
        with pytest.raises(SelectionError, match="5 frames and takes a mask for each"):
            under(layout, wrong, spans=spans)
    (image,) = of_image(layout, 0)
    assert max(image.positions) < min(spans[0].positions)


@each_kind
def test_shared_vision_is_exact_for_videos(kind: str) -> None:
    found, encoded = sharp(kind), asked(sharp(kind), clip("wide"))
    other = asked(found, Video(clip("wide").frames[::-1], 2))
    with torch.no_grad():
        plain = [found.model(**e.inputs).logits for e in (encoded, encoded, other)]
    before = dict(vars(found.model.model))
    with shared_vision(found), torch.no_grad():
        shared = [found.model(**e.inputs).logits for e in (encoded, encoded, other)]
    assert all(torch.equal(a, b) for a, b in zip(plain, shared, strict=True))
    assert not torch.equal(plain[0], plain[2])
    assert vars(found.model.model).keys() == before.keys()


def test_what_a_video_must_be_is_said() -> None:
    found = tiny_families.PLACED["llava"]()
    with pytest.raises(SampleError, match=r"LLaVA-1.5 lays videos out .* Qwen2.5-VL"):
        encode(found, clip("tiny"), "Is there a dog ?")
    with pytest.raises(SampleError, match="at least one"):
        Video([], 2)
    with pytest.raises(SampleError, match="one size"):
        Video([picture((9, 9)), picture((9, 8))], 2)
    with pytest.raises(SampleError, match="over 0"):
        Video([picture((9, 9))], 0)


def test_what_a_family_says_of_videos_is_tested_here() -> None:
    tested = {sharp(kind).model.config.model_type for kind in KINDS}
    for model_type, family in families().items():
        assert (VIDEOS in family.verified) == (model_type in tested) == (family.videos is not None)
