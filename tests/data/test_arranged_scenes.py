"""Laws of the second generation of scenes: exact layouts and masks, everything dealt evenly."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from retinoscope.data.scenes import KINDS, NAMES, Layout, Picture, arrange, render
from retinoscope.data.scenes.colour import colour_word, pixel_words
from retinoscope.data.scenes.dealing import ROUND
from retinoscope.data.scenes.layout import BANDS, SIZE
from retinoscope.data.scenes.layouts import iou
from retinoscope.data.scenes.overlap import IOUS, SEEN, TOLERANCE
from retinoscope.data.scenes.paint import PAINTS
from retinoscope.data.scenes.pairs import repaint_thing
from retinoscope.errors import DataError


@pytest.fixture(scope="module")
def layouts() -> list[Layout]:
    return [arrange(kind, 7, i) for kind in KINDS for i in range(2 * ROUND)]


@pytest.fixture(scope="module")
def pictures(layouts: list[Layout]) -> list[Picture]:
    return [render(layout) for layout in layouts[::4]]


def of_kind(layouts: list[Layout], kind: str) -> list[Layout]:
    return [layout for layout in layouts if layout.kind == kind]


def test_equal_arguments_give_equal_pixels(pictures: list[Picture]) -> None:
    assert arrange("rows", 7, 3) == arrange("rows", 7, 3)
    again = render(replace(pictures[5].layout))
    assert np.array_equal(again.image, pictures[5].image)
    assert again.facts == pictures[5].facts
    assert arrange("rows", 8, 3) != arrange("rows", 7, 3) != arrange("rows", 7, 3, "heldout")


def test_masks_are_what_is_seen_and_wholes_what_is_there(pictures: list[Picture]) -> None:
    for picture in pictures:
        assert 2 <= len(picture.objects) <= 6
        assert np.sum([o.mask for o in picture.objects], axis=0).max() == 1
        in_front = np.zeros((SIZE, SIZE), bool)
        for thing in reversed(picture.objects):
            assert np.array_equal(thing.mask, thing.whole & ~in_front)
            in_front |= thing.whole
        hidden = {i for _, i in picture.in_front}
        for i, thing in enumerate(picture.objects):
            assert (i in hidden) == (thing.mask.sum() < thing.whole.sum())


def test_a_whole_fills_the_box_that_the_layout_says(pictures: list[Picture]) -> None:
    for picture in pictures:
        for thing, drawn in zip(picture.layout.things, picture.objects, strict=True):
            left, top, right, bottom = thing.box(picture.layout.sprites)
            window = drawn.whole[top:bottom, left:right]
            assert window.sum() == drawn.whole.sum()
            assert window.any(0).all() or window[:, [0, -1]].any(0).all()
            assert thing.size - 2 <= max(window.shape) <= thing.size


def test_places_are_never_a_close_call(layouts: list[Layout]) -> None:
    for layout in layouts:
        for thing in layout.things:
            for centre in (thing.x, thing.y):
                assert any(low <= centre / SIZE <= high for low, high in BANDS)


def test_only_overlapping_pairs_overlap_and_by_the_share_that_was_asked(
    layouts: list[Layout],
) -> None:
    met: Counter[float] = Counter()
    for layout in layouts:
        boxes = [thing.box(layout.sprites) for thing in layout.things]
        shared = {(i, j): iou(boxes[i], boxes[j]) for i, j in combinations(range(len(boxes)), 2)}
        if layout.kind == "overlap":
            pair = shared.pop((len(boxes) - 2, len(boxes) - 1))
            nearest = min(IOUS, key=lambda wanted: abs(wanted - pair))
            assert abs(nearest - pair) <= TOLERANCE
            met[nearest] += 1
        assert not any(shared.values())
    assert set(met) == set(IOUS)


def test_enough_is_seen_of_what_stands_behind(pictures: list[Picture]) -> None:
    for picture in pictures:
        for thing in picture.objects:
            assert thing.mask.sum() >= SEEN * thing.whole.sum()


def test_rows_hold_three_and_twins_differ_in_colour_alone(layouts: list[Layout]) -> None:
    for layout in of_kind(layouts, "rows"):
        assert len(layout.things) in (3, 6)
        lines = Counter(t.row for t in layout.things), Counter(t.column for t in layout.things)
        assert any(set(line.values()) == {3} for line in lines)
    for layout in of_kind(layouts, "twins"):
        one, other = layout.things[:2]
        assert replace(other, x=one.x, y=one.y, paint=one.paint) == one
        assert one.paint != other.paint
    for layout in of_kind(layouts, "groups"):
        numbers = Counter(t.name for t in layout.things).values()
        assert len(numbers) == len(set(numbers)) == 2


def test_congruent_things_fill_blocks_of_patches_of_their_own(layouts: list[Layout]) -> None:
    same = 0
    for layout in of_kind(layouts, "congruent"):
        blocks = [thing.block for thing in layout.things]
        assert len(set(blocks)) == len(blocks)
        assert {side for _, _, side in blocks} == {4}
        assert all(row % 4 == column % 4 == 0 for row, column, _ in blocks)
        assert len({thing.size for thing in layout.things}) == 1
        same += len({thing.name for thing in layout.things}) < len(blocks)
    assert 0 < same < ROUND
    thing = of_kind(layouts, "congruent")[0].things[0]
    with pytest.raises(DataError, match="not aligned"):
        _ = replace(thing, x=thing.x + 1).block


def test_classes_and_paints_are_dealt_equally_to_every_slot(layouts: list[Layout]) -> None:
    for kind in ("scatter", "rows", "congruent", "twins"):
        dealt = of_kind(layouts, kind)
        assert Counter(layout.things[0].name for layout in dealt) == dict.fromkeys(NAMES, 2)
    painted = Counter(layout.things[2].paint for layout in of_kind(layouts, "rows"))
    assert painted == dict.fromkeys(PAINTS, 2 * ROUND / len(PAINTS))


def test_class_says_nothing_of_place_size_and_depth() -> None:
    """Cramer's V between class and each of the others is no larger than chance makes it."""
    things = [
        (NAMES.index(t.name), 3 * t.row + t.column, PAINTS.index(t.paint or "red"), depth)
        for i in range(20 * ROUND)
        for depth, t in enumerate(arrange("rows", 3, i).things)
    ]
    table = np.array(things)
    for other in (1, 2, 3):
        counts = np.zeros((len(NAMES), table[:, other].max() + 1))
        np.add.at(counts, (table[:, 0], table[:, other]), 1)
        expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
        chi = ((counts - expected) ** 2 / expected).sum()
        freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
        assert chi < freedom + 4 * (2 * freedom) ** 0.5


def test_a_painted_thing_has_one_colour_beyond_doubt(pictures: list[Picture]) -> None:
    for picture in pictures:
        for thing, drawn in zip(picture.layout.things, picture.objects, strict=True):
            assert drawn.painted == (thing.paint is not None)
            if thing.paint is not None:
                assert drawn.colour == thing.paint
                pixels = thing.draw(picture.layout.sprites)
                words = pixel_words(pixels.colour[pixels.mask])
                assert np.mean([word == thing.paint for word in words]) > 0.95
                assert colour_word(picture.image[drawn.mask].astype(float)) == thing.paint


def test_a_changed_layout_changes_only_where_its_thing_is(pictures: list[Picture]) -> None:
    layout = arrange("congruent", 7, 2)
    free = next(p for p in PAINTS if p not in {t.paint for t in layout.things})
    before, after = render(layout), render(repaint_thing(layout, 0, free))
    changed = (before.image != after.image).any(2)
    left, top, right, bottom = layout.things[0].box("train")
    outside = changed.copy()
    outside[top:bottom, left:right] = False
    assert changed.any() and not outside.any()
    assert np.array_equal(before.objects[0].mask, after.objects[0].mask)


def test_wrong_layouts_are_refused() -> None:
    with pytest.raises(DataError, match="kind 'pile' is unknown"):
        arrange("pile", 0, 0)
    layout = arrange("rows", 0, 0)
    moved = replace(layout.things[0], x=3)
    with pytest.raises(DataError, match="leaves the image"):
        render(replace(layout, things=(moved, *layout.things[1:])))
    covering = replace(layout.things[0], style=layout.things[0].style)
    with pytest.raises(DataError, match="is hidden"):
        render(replace(layout, things=(covering, covering)))


def test_arranging_and_drawing_are_fast() -> None:
    render(arrange("rows", 1, 0))

    def work() -> float:
        start = time.process_time()
        for i in range(10):
            render(arrange("scatter", 9, i))
        return time.process_time() - start

    assert min(work() for _ in range(3)) / 10 < 0.05
