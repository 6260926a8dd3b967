"""What is wired into a model by hand is found by measuring it, and nothing in random weights.

Flow and drivers have planted models of their own, beside their other tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
import tiny

from retinoscope.data import Question, Sample, Step, load_image
from retinoscope.engine import look
from retinoscope.experiments import OwnSettings, Settings, experiments, read_target
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.drivers import measure as drivers
from retinoscope.experiments.drivers import report as drivers_report
from retinoscope.experiments.globals import measure as globals_
from retinoscope.experiments.globals import report as globals_report
from retinoscope.experiments.globals.records import TypeRecord
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
from retinoscope.report.verdict import HELD, NOT_HELD
from retinoscope.results.protocol import CORRECTED
from retinoscope.results.records import tables
from retinoscope.results.schema import frame
from retinoscope.tasks import article
from tests.experiments import wired_model as wired
from tests.experiments.random_model import saying
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


def pairs_verdicts(checkpoint: Checkpoint, samples: Sequence[Sample]) -> dict[str, Any]:
    """What the pairs of some pictures say."""
    rows = measured(pairs.measure, checkpoint, samples, PairsSettings(), first=True)
    return verdicts("pairs", pairs_report, rows)


def two_things(folder: Path, size: int) -> list[Sample]:
    """Each two classes, in both orders, in the two pairs of opposite corners."""
    far = tiny.SIDE - size
    corners = [((0, 0), (far, far)), ((0, far), (far, 0))]
    every = [(names, places) for places in corners for names in permutations(wired.COLOURS, 2)]
    return [
        wired.picture(folder, number, dict(zip(places, names, strict=True)), size)
        for number, (names, places) in enumerate(every)
    ]


def overlapping(folder: Path) -> list[Sample]:
    """Each two classes side by side in one half, one column of patches shared."""
    every = product(permutations(wired.COLOURS, 2), (0, 28))
    return [
        wired.picture(folder, number, {(top, 0): one, (top, 14): other})
        for number, ((one, other), top) in enumerate(every)
    ]


def groups(folder: Path, counts: Sequence[int] = (2, 3)) -> list[Sample]:
    """Two or three dogs, or cats, in the corners, and one thing of the other class."""
    far = tiny.SIDE - 14
    corners = [(0, 0), (far, far), (0, far), (far, 0)]
    every = product(permutations(["dog", "cat"]), counts, (corners, corners[::-1]))
    return [
        wired.picture(folder, number, dict(zip(places, [many] * count + [other], strict=False)), 14)
        for number, ((many, other), count, places) in enumerate(every)
    ]


def alone(folder: Path) -> list[Sample]:
    """One thing in the upper left quarter, each class at each of its patches."""
    every = product(wired.COLOURS, (0, 14), (0, 14))
    return [
        wired.picture(folder, number, {(top, left): name}, 14)
        for number, (name, top, left) in enumerate(every)
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
    found = pairs_verdicts(checkpoint, samples)["Separation"]
    assert found.outcome == HELD
    assert found.checks[0].found.startswith("poll 100.0 % against 0.0 %")


@pytest.mark.parametrize(
    ("planted", "outcome", "found"),
    [
        (wired.looking, HELD, "poll 100.0 % against 0.0 % "),
        (wired.leaking, NOT_HELD, "poll 0.0 % against 100.0 % "),
    ],
)
def test_what_leaks_into_an_overlapping_object_is_found_there_alone(
    planted: Callable[[Path], Checkpoint], outcome: str, found: str, tmp_path: Path
) -> None:
    checkpoint = planted(tmp_path / "model")
    together, apart = (
        pairs_verdicts(checkpoint, samples)
        for samples in (overlapping(tmp_path / "together"), two_things(tmp_path / "apart", 14))
    )
    assert together["Overlap"].outcome == outcome
    assert together["Overlap"].checks[0].found.startswith(found)
    assert apart["Separation"].outcome == HELD


def test_things_of_a_class_that_are_counted_each_by_its_own_tokens_are_found(
    tmp_path: Path,
) -> None:
    counting = pairs_verdicts(wired.counting(tmp_path / "model"), groups(tmp_path))["Counting"]
    assert counting.outcome == HELD
    assert counting.checks[0].found.startswith("100.0 % ")


def test_random_weights_neither_keep_things_apart_nor_count_them(tmp_path: Path) -> None:
    """They say what is right, whatever they see."""
    there, two = overlapping(tmp_path / "there"), groups(tmp_path / "two", (2,))
    sees = saying(tmp_path / "sees", ("Yes", "No"), there[0], "Is there a dog in this image?")
    counts = saying(tmp_path / "counts", ("Two", "One"), two[0], "How many dogs are there?")
    overlap = pairs_verdicts(load(sees), there)["Overlap"]
    counting = pairs_verdicts(load(counts), two)["Counting"]
    assert [one.checks[0].met for one in (overlap, counting)] == [False, False]


@pytest.mark.parametrize("carrying", [True, False])
def test_outliers_that_answers_need_are_told_from_those_that_hold_nothing(
    carrying: bool, tmp_path: Path
) -> None:
    checkpoint = wired.registering(tmp_path / "model", carrying=carrying)
    rows = measured(globals_.measure, checkpoint, alone(tmp_path))
    kinds = [row for row in rows if type(row) is TypeRecord]
    standing_out = [row for row in kinds if row.token_type.startswith("norm outliers")]
    assert len(standing_out) == 3 * 12
    assert {(row.tokens, row.far) for row in standing_out} == {(1, 1)}
    found = verdicts("globals", globals_report, rows)
    assert found["Outlier tokens"].outcome == (HELD if carrying else NOT_HELD)
    used = found["Global features"].checks[-1].found
    assert used.endswith("genuine and used" if carrying else "an artefact")


def test_places_that_go_with_the_tokens_are_found(tmp_path: Path) -> None:
    checkpoint = wired.placing(tmp_path / "model")
    binding = pairs_verdicts(checkpoint, side_by_side(tmp_path))["Binding"]
    assert binding.outcome == HELD
    assert binding.checks[0].found.startswith("token 100.0 %")


def test_a_head_whose_words_answers_read_is_found_and_none_in_random_weights(
    tmp_path: Path,
) -> None:
    samples = two_things(tmp_path, 14)
    random = saying(tmp_path / "none", ("Yes", "No"), samples[0], "Is there a dog in this image?")
    for checkpoint, outcome in (
        (wired.echoing(tmp_path / "model"), HELD),
        (load(random), NOT_HELD),
    ):
        rows = measured(drivers.measure, checkpoint, samples, first=True)
        needed = verdicts("drivers", drivers_report, rows)["A head that answers need"]
        assert needed.outcome == outcome
        if outcome == HELD:
            assert needed.checks[0].found.startswith("head 1.0: 100.0 % ")


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
