"""The lenses find a class that is written where no vocabulary reads it, and none where none is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
import torch

from retinoscope.engine import look
from retinoscope.errors import SelectionError
from retinoscope.experiments import experiments
from retinoscope.experiments.lenses.fits import fits, kept_images
from retinoscope.experiments.lenses.measure import measure
from retinoscope.experiments.lenses.pushes import STRENGTH, direction, pushes
from retinoscope.experiments.lenses.records import LensCauseRecord, LensShareRecord
from retinoscope.experiments.lenses.report import REPORT
from retinoscope.experiments.lenses.tables import causes
from retinoscope.lens import logit_lens
from retinoscope.results.protocol import CORRECTED
from retinoscope.results.records import SkippedRecord
from retinoscope.results.schema import frame
from tests.experiments import drivers_model as made
from tests.experiments.tables_alone import results_of

Frames = dict[str, pl.DataFrame]

OBJECTS = 12


def judged(records: Frames) -> dict[str, str]:
    tables = REPORT.tables(results_of(records), CORRECTED)
    return {
        one.name: one.outcome for one in REPORT.verdicts(results_of(records), tables, CORRECTED)
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("lenses")
    targets = made.pictures(folder, 6, ("dog", "cat"))
    return made.bench(made.random_weights(folder / "model"), targets), targets


@pytest.fixture(scope="module")
def records(place: Any) -> list[Any]:
    bench, targets = place
    return list(measure(bench, targets[0]))


def test_lenses_are_fitted_on_images_that_are_not_measured(place: Any) -> None:
    bench, targets = place
    known = fits(bench)
    assert known.images == {sample.image_id for sample in kept_images(bench)} == {3, 4, 5}
    assert fits(bench) is known
    (skipped,) = measure(bench, targets[4])
    assert isinstance(skipped, SkippedRecord)
    assert "fitted on" in skipped.reason


def test_every_lens_is_measured_where_it_reads(records: list[Any]) -> None:
    shares = [one for one in records if isinstance(one, LensShareRecord)]
    places = {lens: sorted(s.place for s in shares if s.lens == lens) for lens in KINDS}
    assert places.pop("jacobian") == [0, 1, 2, 3]
    assert all(found == [0, 1, 2, 3, 4] for found in places.values())
    assert all(one.patches == 4 and 0 <= one.named <= 4 for one in shares)
    assert all((one.named_open >= 0) is (one.lens in OPEN) for one in shares)
    causes = [one for one in records if isinstance(one, LensCauseRecord)]
    pushed = {(one.lens, one.place, one.draw) for one in causes}
    assert {("logit", 1, 0), ("logit", 2, 0), ("random", 1, 2), ("random", 2, 0)} <= pushed


KINDS = (*("logit", "tuned-visual", "tuned-text", "latent", "jacobian", "probe", "probe-shuffled"),)
OPEN = ("logit", "tuned-visual", "tuned-text")


def test_a_push_lowers_the_lens_own_score_and_has_its_size(place: Any) -> None:
    bench, targets = place
    recording = look(bench.checkpoint, targets[0].image, "Describe this image.")
    lens, tokens, where = logit_lens(recording), [made.DOG, made.DOG + 1], [5, 6]
    states = recording.residual(2)[where]
    way = direction(lens, states, 2, made.DOG, tokens)
    step = 1e-3 * way / way.norm(dim=-1, keepdim=True)

    def above(moved: torch.Tensor) -> torch.Tensor:
        scores = lens.scores(moved, 2)[:, tokens]
        return scores[:, 0] - scores.mean(-1)

    assert (above(states + step) > above(states)).all()
    for push in pushes(recording, where, {"logit": lens}, made.DOG, tokens, seed=0):
        write: Any = push.condition[0].edits(recording)[0]
        norms = recording.residual(push.place)[where].norm(dim=-1)
        torch.testing.assert_close(write.value.norm(dim=-1), STRENGTH * norms)


def planted(*, written: bool, counts: bool) -> Frames:
    """A run in which a probe alone reads the class, and a direction counts or doesn't."""
    shares: list[LensShareRecord] = []
    causes: list[LensCauseRecord] = []
    for index in range(OBJECTS):
        key = (index, index, "dog")
        for lens in KINDS:
            seen = 9 if lens == "probe" and written else index % 2
            for at in (0, 1):
                shares.append(
                    LensShareRecord(*key, lens, at, 10, seen, -1, "cat", index % 2, 20, index % 3)
                )
        for lens in ("logit", "probe-shuffled", "random"):
            hit = lens == "logit" and counts
            difference = 0.5 if hit else 3.9 + 0.01 * (index % 5)
            causes.append(
                LensCauseRecord(*key, lens, 1, 0, "poll", "?", not hit, True, difference, 4.0)
            )
    return {"lenses": pl.DataFrame(shares), "lenses_causal": pl.DataFrame(causes)}


def test_an_item_that_is_barely_ahead_does_not_outweigh_the_others() -> None:
    """What is lost is lost of all together; random pushes are of the same items."""
    rows = []
    for index in range(OBJECTS):
        clean = 0.01 if index == 0 else 4.0
        for lens, left in (("logit", 1.0), ("random", 3.0), ("random", 4.0)):
            key = (index, index, "dog", lens, 1, 0, "poll", "?")
            rows.append(LensCauseRecord(*key, True, True, left, clean))
    (row,) = causes(pl.DataFrame(rows)).iter_rows(named=True)
    whole = 4.0 * (OBJECTS - 1) + 0.01
    assert row["drop"] == pytest.approx(1 - OBJECTS / whole)
    assert row["random"] == pytest.approx(1 - 3.5 * OBJECTS / whole)
    assert row["extra"] == pytest.approx(row["drop"] - row["random"])
    assert row["drop_low"] < row["drop"] < row["drop_high"]


def test_a_class_that_is_written_is_found_and_none_where_none_is() -> None:
    found = judged(planted(written=True, counts=True))
    assert found == {"There before it is a word": "held", "The direction counts": "held"}
    nothing = judged(planted(written=False, counts=False))
    assert set(nothing.values()) == {"did not hold"}
    few = {
        name: table.filter(pl.col("image_id") < 3)
        for name, table in planted(written=True, counts=True).items()
    }
    assert all(outcome.startswith("too few") for outcome in judged(few).values())


def test_random_weights_tell_nothing(records: list[Any]) -> None:
    """One object as many: whatever it shows by chance is not found to be there and used."""
    rows = {"lenses": LensShareRecord, "lenses_causal": LensCauseRecord}
    tables = {
        name: pl.DataFrame(
            [
                replace(one, image_id=i, object_id=i)
                for i in range(OBJECTS)
                for one in records
                if isinstance(one, kind)
            ]
        )
        for name, kind in rows.items()
    }
    assert "held" not in judged(tables).values()


def test_every_row_can_be_shown() -> None:
    tables = REPORT.tables(results_of(planted(written=True, counts=True)), CORRECTED)
    section = REPORT.section(tables)
    for grid in (*section.grids, *section.folded):
        assert grid.rows
        assert all(len(row) == len(grid.heads) for row in grid.rows), grid.title
        assert sum(count for _, count in grid.groups) in (0, len(grid.heads))
    assert all(sketch.draw() is not None for sketch in REPORT.sketches(tables))
    empty: Frames = {name: frame(name, []) for name in experiments()["lenses"].records}
    assert set(judged(empty).values()) == {"not measured"}
    assert all(
        s.draw() is None for s in REPORT.sketches(REPORT.tables(results_of(empty), CORRECTED))
    )


def test_a_run_of_one_image_has_none_to_fit_on(place: Any) -> None:
    bench, _ = place
    with pytest.raises(SelectionError, match="Give data of more images"):
        fits(replace(bench, candidates=bench.candidates[:1]))
