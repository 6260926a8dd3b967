"""Several images, videos and text alone through the public surface: nothing takes the first one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.errors import RetinoscopeError, SampleError, SelectionError
from retinoscope.experiments.montage import montage
from tests.models import tiny_families
from tests.models.pictures import picture

SIZES = ((60, 50), (90, 40))
IMAGES = [picture(size, seed=seed) for seed, size in enumerate(SIZES)]
MASKS = [np.zeros(size[::-1], dtype=bool) for size in SIZES]
MASKS[0][20:30, 20:30] = True
MASKS[1][5:15, 40:50] = True
FRAMES = [picture((60, 50), seed=seed) for seed in range(4)]


@pytest.fixture(scope="module")
def two() -> rs.View:
    vlm = rs.VLM(tiny_families.PLACED["llava"]())
    return vlm.look(["Is ", IMAGES[0], "there ", IMAGES[1], "a dog ?"], max_new_tokens=2)


@pytest.fixture(scope="module")
def clip() -> rs.View:
    vlm = rs.VLM(tiny_families.PLACED["qwen3_vl"]())
    return vlm.look([IMAGES[0], rs.Video(FRAMES, fps=2)], "Is there a dog ?", max_new_tokens=2)


def test_which_image_must_be_said(two: rs.View) -> None:
    rollout = two.rollout()
    asked = {
        "view.tokens.under(mask)": lambda: two.tokens.under(MASKS[0]),
        "view.tokens.box": lambda: two.tokens.box(1, 1, 9, 9),
        "view.tokens.row": lambda: two.tokens.row(-1),
        "view.image": lambda: two.image,
        "a mask for an intervention": lambda: two.answer(rs.Ablate(MASKS[0], "zero")),
        "grid": rollout.grid,
    }
    for name, ask in asked.items():
        with pytest.raises(RetinoscopeError, match=r"2 images.*say which") as raised:
            ask()
        assert re.search(r"view\.images\[|grid\(image=1\)", str(raised.value)), name


def test_each_image_has_its_tokens(two: rs.View) -> None:
    first, second = two.images
    assert first.picture.size == SIZES[0] and second.picture.size == SIZES[1]
    assert set(first.tokens) | set(second.tokens) == set(two.tokens)
    assert not set(first.tokens) & set(second.tokens)
    one, other = (image.tokens.under(mask) for image, mask in zip(two.images, MASKS, strict=True))
    assert two.tokens.under(MASKS) == one | other
    assert two.tokens.under([None, MASKS[1]]) == other
    assert [str(medium) for medium in (one | other).media] == ["image 0", "image 1"]
    assert other.dilate(9) == second.tokens.visual == second.tokens.box(0, 0, *SIZES[1])
    assert second.tokens.row(-1).positions <= second.tokens.visual.positions
    for wrong in (MASKS[:1], [*MASKS, MASKS[0]], MASKS[::-1]):
        with pytest.raises(SelectionError, match=r"2 images|the image is 60 x 50"):
            two.tokens.under(wrong)
    changed = two.evaluate([rs.Ablate(second.tokens, "zero"), rs.Ablate(other, "zero")]).logits
    assert not np.allclose(changed[0], changed[1])


def test_readings_name_the_image(two: rs.View) -> None:
    rollout, second = two.rollout(), two.images[1].tokens
    assert rollout.grid(image=1).shape == (4, 4)
    frame = rollout.frame()
    assert frame.filter(image=1)["position"].to_list() == list(second)
    assert frame.filter(image=1, row=3, column=2)["score"].item() == pytest.approx(
        rollout.grid(image=1)[3, 2]
    )
    lens = two.lens(second).frame(1)
    assert set(lens["image"].to_list()) == {1} and lens["video"].is_null().all()
    for image in ({"image": 2}, {"video": 0}, {"image": 1, "frame": 0}):
        with pytest.raises(SelectionError, match="2 images"):
            rollout.grid(**image)


def test_a_video_has_tokens_for_each_frame(clip: rs.View) -> None:
    (video,) = clip.videos
    assert len(video.frames) == 4 and video.frames[3].picture is clip.prompt.videos[0].frames[3]
    assert video.frames[2].tokens.visual == video.frames[3].tokens.visual  # merged by Qwen
    masks = np.stack([MASKS[0]] * 4)
    found = video.tokens.under(masks)
    assert found == video.frames[0].tokens.under(MASKS[0]) | video.frames[2].tokens.under(MASKS[0])
    assert clip.tokens.under([None, masks]) == found
    rows = clip.lens(found).frame(1)
    assert set(rows["frame"].to_list()) == {0, 2} and set(rows["video"].to_list()) == {0}
    assert clip.rollout().grid(video=0, frame=3).ndim == 2
    for ask in (lambda: video.tokens.box(1, 1, 9, 9), lambda: video.tokens.row(0)):
        with pytest.raises(SelectionError, match=r"a video of 4 frames: say which.*frames\["):
            ask()
    with pytest.raises(SelectionError, match="1 image and a video of 4 frames"):
        _ = clip.image
    with pytest.raises(SelectionError, match="There is no frame 4 of video 0"):
        clip.rollout().grid(video=0, frame=4)


def test_text_alone_is_a_prompt() -> None:
    vlm = rs.VLM(tiny_families.PLACED["llava"]())
    view = vlm.look("Is there a dog ?", max_new_tokens=2)
    again = vlm.look([], "Is there a dog ?", max_new_tokens=2)
    assert view.answer() == again.answer() and view.images == view.videos == ()
    assert view.lens(view.tokens.text).top(1)
    assert len(view.tokens) == 0 and "no image" in repr(view.tokens)
    for ask in (
        lambda: view.image,
        lambda: view.tokens.under(MASKS[0]),
        lambda: view.tokens.row(0),
        view.lens(view.tokens.text).show,
    ):
        with pytest.raises(SelectionError, match="no image"):
            ask()


def test_a_file_is_never_read_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    IMAGES[0].save(tmp_path / "one.png")
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    vlm = rs.VLM(tiny_families.PLACED["llava"]())
    for given in ("one.png", "no-such.JPG", "file", ["Is", "one.png"]):
        with pytest.raises(SampleError, match="would be read as a text"):
            vlm.look(given, max_new_tokens=0)
    for given in (Path("one.png"), [Path("one.png")], ["Is ", Path("one.png")]):
        assert vlm.look(given, max_new_tokens=0).image.size == SIZES[0]
    assert len(vlm.look(["one.png", IMAGES[1]], "Is there a dog ?", max_new_tokens=0).images) == 2


def test_a_page_shows_every_image_and_frame(
    two: rs.View, clip: rs.View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    for view in (two, clip):
        layout = view.recording.layout
        shown = montage(layout, view.prompt)
        pixels = np.asarray(shown.picture)
        assert len(shown.boxes) == len(layout.visual)
        assert len({tuple(cell) for cell in shown.cells.tolist()}) == len(shown.cells)
        place = {position: index for index, position in enumerate(layout.visual)}
        for span in layout.spans:
            own = [place[position] for position in span.positions]
            (left, top), *others = (shown.boxes[own] - span.grid.boxes)[:, :2].round().astype(int)
            assert all((left, top) == tuple(other) for other in others)
            medium = cast("Any", span.medium)
            image = (
                view.prompt.images[medium.image]
                if hasattr(medium, "image")
                else view.prompt.videos[medium.video].frames[medium.frames[0]]
            )
            part = pixels[top : top + image.height, left : left + image.width]
            assert np.array_equal(part, np.asarray(image)), span.medium
    chosen = two.images[1].tokens.under(MASKS[1])
    page = two.lens(chosen).show().page
    assert "the selection" in page
