"""What the recipe writes is read back as it was asked, and what it measures is what is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import retinoscope
from recipes.embedded.answering import Answerer, Asked
from recipes.embedded.curves import LOG, draw_curves, read_curve
from recipes.embedded.evaluate import STYLES, arranged_scene, composed_scene, in_lines
from recipes.embedded.pool import WHOLE, read_scenes, render_chunk, write_chunk
from recipes.embedded.rows import Asked as Exchange
from recipes.embedded.rows import empty_rows, fill_row, read_exchanges
from recipes.embedded.text import vocabulary
from recipes.embedded.words import Words

FOLDER = Path(retinoscope.__file__).parent / "models" / "embedded"


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(vocabulary())


def test_exchanges_are_read_back_as_they_were_laid_out(words: Words) -> None:
    asked = [Exchange("Is there a dog in this image?", "Yes"), Exchange("How many dogs?", "Two")]
    rows, left = empty_rows(1), iter(asked)
    assert fill_row(rows, 0, words.context([words.image] * 144), lambda: next(left, None), words)
    assert read_exchanges(rows, 0, words) == [(a.question, a.answer) for a in asked]


def test_scenes_are_read_with_their_things_and_questions(words: Words, tmp_path: Path) -> None:
    write_chunk(tmp_path, 0, render_chunk(9, 0, 3, "train", words))
    scenes = read_scenes(tmp_path, words, 100)
    assert len(scenes) == 3
    for scene in scenes:
        assert len(scene.things)
        assert len(scene.asked) >= WHOLE
        assert set(scene.uncoloured) <= set(scene.asked)


def test_a_right_answer_is_what_greedy_decoding_gives() -> None:
    """Image and question are read apart, as measuring does it, and in one, as anybody would."""
    answerer = Answerer(FOLDER)
    style = STYLES["heldout_sprites"]
    scenes = [make(style, i) for i in range(2) for make in (composed_scene, arranged_scene)]
    asked = [Asked(n, q, a, m) for n, s in enumerate(scenes) for m, q, a in s.listed]
    wrong = [Asked(each.image, each.question, "Zero", each.measure) for each in asked]
    right = answerer.right([s.image for s in scenes], [*asked, *wrong])
    images = [scenes[each.image].image for each in asked]
    said = answerer.answer(images, [each.question for each in asked], 12)
    assert right[: len(asked)].tolist() == [a.answer == b for a, b in zip(asked, said, strict=True)]
    assert right[len(asked) :].tolist() == [b == "Zero" for b in said]
    assert right[: len(asked)].any()


def test_a_drawing_in_lines_shows_where_colours_change() -> None:
    image = np.full((192, 192, 3), 200, np.uint8)
    image[50:100, 50:100] = (200, 200, 100)
    lines = in_lines(image)
    assert set(np.unique(lines)) == {0, 255}
    assert (lines[20] == 255).all() and (lines[75, 60:90] == 255).all()
    assert (lines[75, 46:54] == 0).any()


def test_curves_are_drawn_from_the_log(tmp_path: Path) -> None:
    for file in LOG.glob("*.csv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
        minutes, curves = read_curve(file)
        assert all(len(values) == len(minutes) for values in curves.values())
    assert draw_curves(tmp_path).read_bytes() == (LOG / "curves.svg").read_bytes()
