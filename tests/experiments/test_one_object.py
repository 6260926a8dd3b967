"""One object of one image, looked at from the command line and from Python."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image

from retinoscope.cli.main import commands
from retinoscope.data import embedded_scenes, load_image, object_mask, single_image
from retinoscope.engine import evaluate, look
from retinoscope.errors import DataError, SampleError, SelectionError
from retinoscope.experiments import Settings, read_target
from retinoscope.experiments.ablation.one_object import answers
from retinoscope.interventions import Ablate
from retinoscope.models import load
from retinoscope.tasks import check_spelled, poll, score_next
from retinoscope.tokens import under


@pytest.fixture(scope="module")
def scene():
    return embedded_scenes(10, seed=1).samples[0]


@pytest.fixture(scope="module")
def checkpoint():
    return load("embedded")


def test_answers_are_those_of_the_engine(scene, checkpoint):
    target = read_target(scene, scene.annotations[0], (), Settings())
    settings = Settings(buffers=(0, 1), values=("zero",), max_new_tokens=8)
    found = answers(checkpoint, target, replace(settings, tasks=("poll",)))
    assert [(a.selection, a.matched) for a in found] == [
        ("none", ""),
        ("object", ""),
        ("random", "object"),
        ("object+1", ""),
        ("random", "object+1"),
    ]
    query = poll(target.class_name, checkpoint.tokenizer)
    recording = look(checkpoint, target.image, query.question)
    tokens = under(recording.encoded.layout, target.mask)
    outcome = evaluate(recording, [(), (Ablate(tokens, "zero"),)])
    for answer, row in zip(found[:2], outcome.logits, strict=True):
        expected = score_next(query, row, checkpoint.tokenizer)
        assert (answer.score.answer, answer.score.right) == (expected.answer, expected.right)
        assert answer.score.probability == pytest.approx(expected.probability, abs=1e-5)
    sizes = {a.selection: a.tokens for a in found if not a.matched}
    assert sizes["object"] == len(tokens)
    assert all(a.tokens == sizes[a.matched] for a in found if a.matched)
    again = answers(checkpoint, target, replace(settings, tasks=("poll",)))
    assert again == found


def run(*arguments: str) -> None:
    """The command in this process; errors come through."""
    commands(list(arguments), standalone_mode=False)


@pytest.fixture
def picture(scene, tmp_path):
    path = tmp_path / "scene.png"
    load_image(scene).save(path)
    mask = object_mask(scene, scene.annotations[0])
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return path


@pytest.mark.parametrize("given", ["box", "mask"])
def test_the_command_prints_three_tables(scene, picture, capsys, monkeypatch, given):
    monkeypatch.setenv("COLUMNS", "200")
    thing = scene.annotations[0]
    where = (
        ["--box", ",".join(f"{side:g}" for side in thing.box)]
        if given == "box"
        else ["--mask", str(picture.with_name("mask.png"))]
    )
    question = ["--question", "What is in this image?"] if given == "mask" else []
    run(
        "look", str(picture), *where, "--name", thing.class_name, "--max-new-tokens", "6", *question
    )
    told = capsys.readouterr().out
    for words in (
        "tokens replaced by their mean",
        "random, as many as object+1",
        "attention knocked out in a window of layers",
        "early-",
        f"decode to '{thing.class_name}'",
        "background, strict",
        "(P(yes) = ",
        "P(...): the probability of the right answer's first token",
    ):
        assert words in told
    assert (" ask " in told) == (given == "mask")
    assert (f"(P({thing.class_name}) = " in told) == (given == "mask")
    assert "photograph" not in told


def test_a_name_that_the_model_cannot_say_is_refused_before_anything_is_measured(picture, capsys):
    for name in ("zebra crossing", "shaggy dog", "dog of brass"):
        with pytest.raises(DataError, match=f"can't spell '{name}'"):
            run("look", str(picture), "--box", "10,10,60,60", "--name", name)
    assert capsys.readouterr().out == ""


def test_every_name_of_the_scenes_can_be_said(checkpoint):
    for name in embedded_scenes(1).categories:
        check_spelled(checkpoint.tokenizer, name)


def test_what_makes_the_answers_worthless_is_noted_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    path = tmp_path / "photo.png"
    Image.new("RGB", (300, 200), (90, 140, 90)).save(path)
    run("look", str(path), "--box", "100,50,60,60", "--name", "dog", "--max-new-tokens", "6")
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Note: ")]
    assert len(notes) == 2
    assert "300 x 200), a photograph say, its answers mean nothing" in notes[0]
    assert "with nothing replaced the model does not name the dog (" in notes[1]


@pytest.mark.parametrize(
    ("where", "error", "message"),
    [
        (["--box", "1,2,3,4", "--mask", "m.png"], DataError, "a box and a mask were given"),
        (["--box", "1,2,3"], DataError, "four numbers"),
        (["--box", "a,b,c,d"], DataError, "four numbers"),
        (["--box", "nan,0,5,5"], SampleError, "not inside"),
        (["--box", "150,150,90,90"], SampleError, "not inside the 192 x 192 image"),
        (["--box", "10,10,0,5"], SampleError, "not inside"),
        (["--mask", "gone.png"], SampleError, r"gone\.png"),
        (["--mask", "small.png"], SampleError, "expected the image's 192 x 192"),
        (["--mask", "empty.png"], SampleError, "at least one"),
    ],
)
def test_a_wrong_place_is_named(picture, monkeypatch, where, error, message):
    Image.new("L", (5, 5), 255).save(picture.with_name("small.png"))
    Image.new("L", (192, 192), 0).save(picture.with_name("empty.png"))
    monkeypatch.chdir(picture.parent)
    with pytest.raises(error, match=message):
        run("look", str(picture), *where, "--name", "dog")


def test_an_object_outside_what_the_model_sees_is_told(tmp_path, checkpoint):
    """The crop of a wide image leaves its edges out."""
    path = tmp_path / "wide.png"
    Image.new("RGB", (800, 100), "red").save(path)
    (sample,) = single_image(path, (2, 2, 20, 20), None, "dog").samples
    target = read_target(sample, sample.annotations[0], (), Settings())
    with pytest.raises(SelectionError, match="outside the part of the image"):
        answers(checkpoint, target, Settings(values=("zero",), tasks=("poll",)))
