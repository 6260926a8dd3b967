"""What is wired into a model by hand is found by measuring it: pairs, interchange, lenses, steps.

Flow, drivers and globals have planted models of their own, beside their other tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import tiny

from retinoscope.data import Question, Sample, Step, load_image
from retinoscope.engine import look
from retinoscope.experiments import OwnSettings, Settings, experiments, read_target
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.interchange import measure as interchange
from retinoscope.experiments.interchange import report as interchange_report
from retinoscope.experiments.lenses import measure as lenses
from retinoscope.experiments.lenses import report as lenses_report
from retinoscope.experiments.pairs import measure as pairs
from retinoscope.experiments.pairs import report as pairs_report
from retinoscope.experiments.pairs.settings import PairsSettings
from retinoscope.experiments.reasoning import measure as reasoning
from retinoscope.experiments.reasoning import report as reasoning_report
from retinoscope.models import Checkpoint, load
from retinoscope.models.mean import mean_token, with_mean_token
from retinoscope.report.verdict import HELD
from retinoscope.results.protocol import CORRECTED
from retinoscope.results.records import tables
from retinoscope.results.schema import frame
from retinoscope.tasks import article
from tests.experiments import wired_model as wired
from tests.experiments.tables_alone import results_of

SETTINGS = Settings(tasks=("poll",), values=("mean",))


def verdicts(name: str, report: Any, rows: Sequence[Any]) -> dict[str, Any]:
    """An experiment's verdicts on what was measured."""
    kinds = {one: tables()[one] for one in experiments()[name].records}
    made = {
        one: frame(one, [row for row in rows if type(row) is kind]) for one, kind in kinds.items()
    }
    results = results_of(made)
    found = report.REPORT.tables(results, CORRECTED)
    return {one.name: one for one in report.REPORT.verdicts(results, found, CORRECTED)}


def measured(
    measure: Callable[..., Any],
    checkpoint: Checkpoint,
    samples: Sequence[Sample],
    own: OwnSettings | None = None,
    *,
    first: bool = False,
) -> list[Any]:
    """Records of every object of some pictures, or of the first of each."""
    candidates = [(one, it) for one in samples for it in one.annotations[: 1 if first else None]]
    mean = mean_token(checkpoint, [load_image(one) for one in samples])
    made = with_mean_token(checkpoint, mean)
    bench = Bench(made, tuple(wired.COLOURS), candidates, SETTINGS, own or OwnSettings())
    read = [read_target(*one, bench.categories, SETTINGS) for one in candidates]
    return [row for target in read for row in measure(bench, target)]


def two_things(folder: Path, size: int) -> list[Sample]:
    """Each two classes, in both orders, in the two pairs of opposite corners."""
    far = tiny.SIDE - size
    corners = [((0, 0), (far, far)), ((0, far), (far, 0))]
    every = [(names, places) for places in corners for names in permutations(wired.COLOURS, 2)]
    return [
        wired.picture(folder, number, dict(zip(places, names, strict=True)), size)
        for number, (names, places) in enumerate(every)
    ]


def side_by_side(folder: Path) -> list[Sample]:
    """A dog and a cat, at the left and at the right, each a little higher or lower."""
    every = product(permutations(["dog", "cat"]), (14, 28), (14, 28))
    return [
        wired.picture(folder, number, {(left, 0): one, (right, 42): other}, 14)
        for number, ((one, other), left, right) in enumerate(every)
    ]


def hops(folder: Path) -> list[Sample]:
    """Something is left of something in one row, and a third thing in the other."""
    found = []
    for number, (names, row) in enumerate(product(permutations(wired.COLOURS), (0, 1))):
        answer, anchor, rest = names
        start = 10 * number
        steps = (
            Step("select", anchor, (start + 1,)),
            Step("relate", "left of", (start,), (0,)),
            Step("query", "name", (start,), (1,)),
        )
        asked = Question(
            f"What is left of the {anchor}?",
            f"It is {article(answer)} {answer}.",
            answer,
            "two_hop",
            start,
            steps,
        )
        beside, other = wired.QUARTERS[2 * row :][:2], wired.QUARTERS[2 * (1 - row) + number % 2]
        things = dict(zip((*beside, other), (answer, anchor, rest), strict=True))
        found.append(wired.picture(folder, number, things, questions=(asked,)))
    return found


def test_answers_that_rest_on_ones_own_patches_are_found_apart(tmp_path: Path) -> None:
    checkpoint, samples = wired.looking(tmp_path / "model"), two_things(tmp_path, 14)
    rows = measured(pairs.measure, checkpoint, samples, PairsSettings(), first=True)
    found = verdicts("pairs", pairs_report, rows)["Separation"]
    assert found.outcome == HELD
    assert found.checks[0].found.startswith("poll 100.0 % against 0.0 %")


def test_places_that_go_with_the_tokens_are_found(tmp_path: Path) -> None:
    checkpoint = wired.placing(tmp_path / "model")
    rows = measured(pairs.measure, checkpoint, side_by_side(tmp_path), PairsSettings(), first=True)
    binding = verdicts("pairs", pairs_report, rows)["Binding"]
    assert binding.outcome == HELD
    assert binding.checks[0].found.startswith("token 100.0 %")


def test_the_way_through_the_question_is_found(tmp_path: Path) -> None:
    checkpoint, samples = wired.looking(tmp_path / "model"), two_things(tmp_path, 28)[::2]
    rows = measured(interchange.measure, checkpoint, samples, first=True)
    found = verdicts("interchange", interchange_report, rows)
    assert found["Carrier"].outcome == HELD
    assert found["Relay (poll)"].outcome == HELD


def test_a_class_that_becomes_a_word_which_is_read_is_found(tmp_path: Path) -> None:
    checkpoint, samples = wired.looking(tmp_path / "model"), two_things(tmp_path, 28)
    rows = measured(lenses.measure, checkpoint, samples)
    found = verdicts("lenses", lenses_report, rows)
    assert found["There before it is a word"].outcome == HELD
    assert found["The direction counts"].outcome == HELD


def test_two_steps_are_found_one_after_the_other(tmp_path: Path) -> None:
    rows = measured(reasoning.measure, wired.hopping(tmp_path / "model"), hops(tmp_path))
    found = verdicts("reasoning", reasoning_report, rows)["Reasoning"]
    assert found.outcome == HELD
    anchor, _, order = found.checks
    assert anchor.found.startswith("100.0 % ")
    assert order.found.startswith("layers 1.0 and 3.0")


def test_random_weights_take_no_steps(tmp_path: Path) -> None:
    """Whatever they answer is taken as right, so that there is something to measure."""
    checkpoint = load(tiny.save(tmp_path / "model", seed=2))
    samples = [said(checkpoint, one) for one in hops(tmp_path)]
    rows = measured(reasoning.measure, checkpoint, [one for one in samples if one])
    found = verdicts("reasoning", reasoning_report, rows)["Reasoning"]
    assert found.outcome != HELD
    assert found.checks[0].met is False


def said(checkpoint: Checkpoint, sample: Sample) -> Sample | None:
    """A picture whose question's answer is what the model says; None where that is no word."""
    (asked,) = sample.questions
    recording = look(checkpoint, load_image(sample), asked.text, prefix="It is a")
    word = tiny.WORDS[int(recording.logits.argmax())]
    if not word.isalpha():
        return None
    return replace(sample, questions=(replace(asked, answer=f"It is a {word}", word=word),))
