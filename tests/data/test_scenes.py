"""Laws of the embedded scenes: what is said of them is what is drawn."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter

import numpy as np
import pytest

from retinoscope.data.scenes import CLASSES, NAMES, THEMES, Scene, compose
from retinoscope.data.scenes.colour import COLOURS, colour_word
from retinoscope.data.scenes.sprites import SETS, load_set, renditions


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [compose(11, i) for i in range(80)]


def test_the_same_seed_gives_the_same_pixels(scenes: list[Scene]) -> None:
    again = compose(11, 5)
    assert np.array_equal(again.image, scenes[5].image)
    assert again.facts == scenes[5].facts
    for one, other in zip(again.objects, scenes[5].objects, strict=True):
        assert np.array_equal(one.mask, other.mask)


def test_other_seeds_and_sprites_give_other_pixels(scenes: list[Scene]) -> None:
    assert not np.array_equal(compose(12, 5).image, scenes[5].image)
    assert not np.array_equal(compose(11, 5, "heldout").image, scenes[5].image)


def test_images_are_192_pixels_of_rgb(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (192, 192, 3)
        assert scene.image.dtype == np.uint8


def test_masks_are_disjoint_and_fill_their_boxes(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert 1 <= len(scene.objects) <= 3
        assert np.sum([o.mask for o in scene.objects], axis=0).max() == 1
        for thing in scene.objects:
            left, top, right, bottom = thing.box
            assert thing.mask[top:bottom, left:right].sum() == thing.mask.sum() > 0
            assert thing.mask[top].any()
            assert thing.mask[bottom - 1].any()
            assert thing.mask[:, left].any()
            assert thing.mask[:, right - 1].any()


def test_things_are_as_large_as_recognition_needs(scenes: list[Scene]) -> None:
    limits = {1: (44, 100), 2: (40, 80), 3: (38, 66)}
    for scene in scenes:
        low, high = limits[len(scene.objects)]
        for thing in scene.objects:
            assert low <= thing.size <= high
            left, top, right, bottom = thing.box
            # A slight rotation may lengthen the box; an edge or a neighbour may cut it.
            assert 0.5 * thing.size < max(right - left, bottom - top) < 1.45 * thing.size


def test_positions_follow_from_the_mask(scenes: list[Scene]) -> None:
    for scene in scenes:
        for thing in scene.objects:
            left, top, right, bottom = thing.box
            x, y = (left + right) / 2, (top + bottom) / 2
            assert thing.column == (x > 0.38 * 192) + (x > 0.62 * 192)
            assert thing.row == (y > 0.38 * 192) + (y > 0.62 * 192)


def test_a_mask_covers_what_was_drawn() -> None:
    """Pixels change where things are when only the sprites differ, and nowhere far from them."""
    for index in range(12):
        train, heldout = compose(3, index), compose(3, index, "heldout")
        assert [o.name for o in train.objects] == [o.name for o in heldout.objects]
        inside = np.zeros((192, 192), bool)
        for thing in (*train.objects, *heldout.objects):
            left, top, right, bottom = thing.box
            inside[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = True
        difference = np.abs(train.image.astype(int) - heldout.image).mean(2)
        core = np.logical_or.reduce([o.mask for o in train.objects])
        assert difference[core].mean() > 3 * difference[~inside].mean()


def test_colour_words_name_plain_colours() -> None:
    plain = {
        "red": (220, 20, 30),
        "orange": (250, 140, 20),
        "yellow": (250, 220, 40),
        "green": (40, 160, 50),
        "blue": (40, 90, 220),
        "purple": (130, 60, 190),
        "pink": (250, 150, 190),
        "brown": (130, 80, 40),
        "black": (12, 12, 12),
        "gray": (128, 128, 128),
        "white": (250, 250, 250),
    }
    assert tuple(plain) == COLOURS
    for word, rgb in plain.items():
        assert colour_word(np.tile(np.array(rgb, float), (5, 1))) == word


def test_classes_have_sprites_and_themes() -> None:
    assert len(NAMES) >= 30
    assert all(len(names) >= 10 for names in THEMES.values())
    for name, scene_class in CLASSES.items():
        assert name.isalpha()
        assert scene_class.plural.isalpha()
        assert scene_class.themes
        assert sum(map(len, renditions(name, "train"))) >= 4
        assert renditions(name, "heldout")


def test_sprites_are_cropped_and_at_most_112_pixels() -> None:
    for sets in SETS.values():
        for name in sets:
            for sprites in load_set(name).values():
                for sprite in sprites:
                    alpha = sprite[..., 3] > 0
                    assert max(sprite.shape[:2]) <= 112
                    assert alpha.any(0).mean() > 0.9
                    assert alpha.any(1).mean() > 0.9


def test_classes_are_drawn_about_equally_often() -> None:
    rng_counts = Counter(o.name for i in range(400) for o in compose(5, i).objects)
    assert set(rng_counts) == set(NAMES)
    assert max(rng_counts.values()) < 6 * min(rng_counts.values())


def test_scenes_are_frozen(scenes: list[Scene]) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        scenes[0].theme = "sea"  # pyright: ignore[reportAttributeAccessIssue]


def test_composing_is_fast() -> None:
    compose(0, 0)
    fastest = min(_seconds(lambda: [compose(9, i) for i in range(10)]) for _ in range(5))
    assert fastest / 10 < 0.05


def _seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
