"""`retinoscope look` tells the answer word by word, and what made the object's name."""

from __future__ import annotations

from dataclasses import replace

import pytest

import retinoscope as rs
from retinoscope.cli.look_words import answer_words
from retinoscope.data import embedded_scenes, load_image, object_mask
from retinoscope.errors import SelectionError
from retinoscope.experiments import Settings, read_target
from retinoscope.models import load

SETTINGS = Settings(buffers=(0, 1), values=("zero",), max_new_tokens=30)


@pytest.fixture(scope="module")
def scene():
    return embedded_scenes(10, seed=2).samples[4]


@pytest.fixture(scope="module")
def checkpoint():
    return load("embedded")


@pytest.fixture(scope="module")
def cactus(scene):
    (one,) = (thing for thing in scene.annotations if thing.class_name == "cactus")
    return replace(read_target(scene, one, (), Settings()), question="")


def test_each_word_has_its_probability_and_the_name_is_explained(scene, checkpoint, cactus):
    found = answer_words(checkpoint, cactus, SETTINGS, "")
    view = rs.VLM(checkpoint).look(load_image(scene), "Describe this image.", max_new_tokens=30)
    tokens = view.tokens.under(object_mask(scene, cactus.annotation))
    forced = view.teacher_forced([(), rs.Ablate(tokens.dilate(1), "zero")])
    assert [one.word for one in found.said] == forced.words
    assert [one.probability for one in found.said] == pytest.approx(forced.probability[0].tolist())
    assert [one.without for one in found.said] == pytest.approx(forced.probability[1].tolist())
    (made,) = found.made
    assert (made.word, found.said[made.place].word) == ("cactus", "cactus")
    # Of integrated gradients most lies on what was named.
    on_object, on_all = made.integrated_gradients
    assert on_object > on_all / 2 > 0
    (integral,) = view.explain("cactus").integrated_gradients()
    strongest = view.recording.layout.visual[int(integral.values.argmax())]
    assert [*view.tokens.patch(*made.patches[0])] == [strongest], "rows and columns as in pages"
    layer, head, share = made.heads[0]
    before = view.before("cactus").attention(layer, head)[-1, sorted(tokens)].sum()
    assert share == pytest.approx(float(before), abs=1e-5)
    assert found.note == "" and len(found.tables("cactus", "zero")) == 2


def test_a_name_is_explained_in_the_form_that_the_answer_has(checkpoint):
    sample = embedded_scenes(6, seed=0).samples[0]
    first, other = sample.annotations
    assert first.class_name == other.class_name == "pineapple"
    target = replace(read_target(sample, first, (), Settings()), question="")
    (made,) = answer_words(checkpoint, target, SETTINGS, "").made
    assert made.word == "pineapples"


def test_other_words_are_named_and_unknown_ones_refused(checkpoint, cactus):
    few = replace(SETTINGS, max_new_tokens=12)
    made = answer_words(checkpoint, cactus, few, "a pizza,").made
    assert [one.word for one in made] == ["a", "pizza"]
    with pytest.raises(SelectionError, match="giraffe"):
        answer_words(checkpoint, cactus, few, "giraffe")
