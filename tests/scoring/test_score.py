"""POPE and CHAIR: what they count, with their intervals, and what an intervention changes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import retinoscope as rs
from retinoscope.cli.main import commands
from retinoscope.data import Dataset, Question, Step, embedded_scenes
from retinoscope.errors import DataError
from retinoscope.results.statistics import mcnemar, rate
from retinoscope.scoring import Scored, parse, score
from retinoscope.scoring.mentions import mentions
from retinoscope.scoring.polls import ABSENT, polls_of

CONDITION = "Ablate(tokens)"


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load("embedded")


@pytest.fixture(scope="module")
def scenes() -> Dataset:
    return embedded_scenes(12, seed=3)


@pytest.fixture(scope="module")
def polled(vlm: rs.VLM, scenes: Dataset) -> Scored:
    return score(vlm, scenes, "pope", [parse(CONDITION)], limit=5, seed=1)


def value(found: Scored, condition: str, metric: str) -> dict[str, float]:
    (row,) = [
        one
        for one in found.metrics.to_dicts()
        if one["condition"] == condition and one["metric"].startswith(metric)
    ]
    return row


def test_the_metrics_are_those_of_the_items(polled: Scored) -> None:
    for condition in ("clean", CONDITION):
        rows = [one for one in polled.items.to_dicts() if one["condition"] == condition]
        true = sum(one["yes"] and one["present"] for one in rows)
        said, there = sum(one["yes"] for one in rows), sum(one["present"] for one in rows)
        right = rate(sum(one["yes"] == one["present"] for one in rows), len(rows))
        accuracy = value(polled, condition, "accuracy")
        assert (accuracy["value"], accuracy["low"], accuracy["high"]) == (
            right.value,
            right.low,
            right.high,
        )
        assert value(polled, condition, "recall")["value"] == pytest.approx(true / there)
        assert value(polled, condition, "F1")["value"] == pytest.approx(2 * true / (said + there))
        assert 2 * there == len(rows)


def test_without_its_image_a_model_can_only_guess(polled: Scored) -> None:
    """Half of the questions are right by "yes", half by "no"; the embedded model sees."""
    assert value(polled, "clean", "accuracy")["value"] > 0.7
    assert value(polled, CONDITION, "accuracy")["value"] < 0.7
    (paired,) = polled.paired.to_dicts()
    assert paired["p"] == mcnemar(paired["gained"], paired["lost"])
    assert paired["change"] == pytest.approx((paired["gained"] - paired["lost"]) / paired["n"])
    assert paired["lost"] > paired["gained"]


def test_captions_are_scored_by_what_is_there(vlm: rs.VLM, scenes: Dataset) -> None:
    found = score(vlm, scenes, "chair", [parse(CONDITION)], limit=4, max_new_tokens=20)
    clean = value(found, "clean", "CHAIRs")
    assert clean["value"] < value(found, CONDITION, "CHAIRs")["value"]
    known = {one.image_id: one for one in scenes.samples}
    for row in found.items.to_dicts():
        here = {one.class_name for one in known[row["image"]].annotations}
        wrong = [one for one in row["wrong"].split(", ") if one]
        assert not here & {*wrong}
        assert all(one in row["caption"].lower() for one in wrong)


@pytest.mark.parametrize(
    ("text", "present", "right", "wrong"),
    [
        ("A dog and two cats.", ["dog"], ("dog",), ("cat",)),
        ("It is located here.", ["dog"], (), ()),
        ("A teddy bear.", ["teddy bear"], ("teddy bear",), ()),
        ("A teddy and a bear.", ["teddy bear"], ("teddy bear",), ("bear",)),
        ("A puppy.", ["dog"], ("dog",), ()),
        # "boat" is a word for a ship as well, which is there.
        ("A boat.", ["ship"], ("ship",), ()),
    ],
)
def test_a_thing_is_named_by_its_longest_name(
    text: str, present: list[str], right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    classes = ["dog", "cat", "teddy bear", "bear", "ship", "boat"]
    found = mentions(text, present, classes)
    assert (found.right, found.wrong) == (right, wrong)
    assert {*found.right, *found.missed} == {*present}


def test_absent_things_are_chosen_as_pope_does(vlm: rs.VLM, scenes: Dataset) -> None:
    tokenizer = vlm.checkpoint.tokenizer
    counts = {
        name: sum(name in {a.class_name for a in one.annotations} for one in scenes.samples)
        for name in scenes.categories
    }
    for absent in ABSENT:
        for sample in scenes.samples[:4]:
            here = {one.class_name for one in sample.annotations}
            polls = polls_of(sample, scenes, tokenizer, absent, 0)
            assert [one.class_name in here for one in polls] == [one.present for one in polls]
            assert polls == polls_of(sample, scenes, tokenizer, absent, 0)
            missing = [counts[one.class_name] for one in polls if not one.present]
            if absent == "popular":
                others = sorted((counts[n] for n in counts if n not in here), reverse=True)
                assert missing == others[: len(missing)]


def test_the_datas_own_questions_are_asked(vlm: rs.VLM, scenes: Dataset) -> None:
    asked = Question(
        "Is there a dog in the image?", "No", "No", "poll", None, (Step("exist", "dog"),)
    )
    sample = replace(scenes.samples[0], questions=(asked,))
    (found,) = polls_of(sample, scenes, vlm.checkpoint.tokenizer)
    assert (found.question, found.class_name, found.present) == (asked.text, "dog", False)


def test_the_command_prints_json_and_refuses_what_it_does_not_know() -> None:
    given = ["score", "--data", "embedded:3", "--with", "Ablate(objects)", "--json"]
    done = CliRunner().invoke(commands, given)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {one["condition"] for one in told["metrics"]} == {"clean", "Ablate(objects)"}
    assert told["paired"][0]["n"] > 0
    with pytest.raises(DataError, match="is not an intervention"):
        CliRunner().invoke(commands, ["score", "--with", "tokens"], catch_exceptions=False)
