"""The interchange experiment: pairs that differ in one thing, planted effects, and no effect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import tiny

from retinoscope.data import Dataset, arranged_scenes, embedded_scenes
from retinoscope.engine import look
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.interchange.groups import groups_of
from retinoscope.experiments.interchange.measure import measure
from retinoscope.experiments.interchange.pairing import counterpart
from retinoscope.experiments.interchange.records import (
    AgreementRecord,
    InterchangeItem,
    InterchangeRecord,
    PathRecord,
)
from retinoscope.experiments.interchange.report import REPORT
from retinoscope.experiments.interchange.tables import (
    agreement_table,
    cell_table,
    head_table,
    item_table,
    path_table,
)
from retinoscope.experiments.interchange.verdict import approximation, carrier, relay
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target, read_target
from retinoscope.models import Checkpoint, load
from retinoscope.report.protocol import comparison_grids
from retinoscope.report.tables.headline import side_by_side
from retinoscope.report.verdict import HELD, NOT_HELD, NOT_MEASURED
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.protocol import CORRECTED
from retinoscope.results.records import Record, SkippedRecord, tables
from retinoscope.results.schema import frame as framed
from tests.experiments.tables_alone import results_of

SETTINGS = Settings()


@pytest.fixture(scope="module")
def scenes() -> Dataset:
    return arranged_scenes("scatter+rows", 4, seed=5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load(tiny.save(tmp_path_factory.mktemp("model")))


def target_of(data: Dataset, image: int = 0, thing: int = 0) -> Target:
    sample = data.samples[image]
    return read_target(sample, sample.annotations[thing], data.categories, SETTINGS)


def test_a_scene_is_drawn_again_with_one_thing_exchanged(scenes: Dataset) -> None:
    for image in range(3):
        target = target_of(scenes, image)
        other = counterpart(target, seed=0)
        assert other.pair == "exchange"
        assert other.other not in {one.class_name for one in target.sample.annotations}
        changed = (np.array(target.image) != np.array(other.image)).any(-1)
        assert changed.any() and not (changed & ~other.mask).any()
        assert (target.mask <= other.mask).all()
        again = counterpart(target, seed=0)
        assert again.other == other.other
        assert np.array_equal(np.array(again.image), np.array(other.image))


def test_what_can_not_be_drawn_again_is_made_noise() -> None:
    target = target_of(embedded_scenes(2, seed=3))
    other = counterpart(target, seed=0)
    assert (other.pair, other.other) == ("noise", "")
    changed = (np.array(target.image) != np.array(other.image)).any(-1)
    assert changed.any() and not (changed & ~target.mask).any()


def test_a_folder_whose_pixels_were_changed_is_not_taken_at_its_word(scenes: Dataset) -> None:
    target = target_of(scenes)
    touched = target.image.copy()
    touched.putpixel((0, 0), (1, 2, 3))
    assert counterpart(replace(target, image=touched), seed=0).pair == "noise"


def test_groups_divide_the_sequence_behind_its_beginning(
    scenes: Dataset, model: Checkpoint
) -> None:
    target = target_of(scenes)
    layout = look(model, target.image, "Is there a dog in this image ?").layout
    groups = groups_of(layout, target, target.mask, SETTINGS)
    control = groups.pop("matched")
    every = [p for some in groups.values() for p in some]
    assert sorted(every) == list(range(min(layout.visual), layout.length))
    near = {p for one in groups["object"] for p in (one, *layout.neighbours[one])}
    assert not near & set(control)
    assert len(control) == min(len(groups["object"]), len(set(layout.visual) - near))
    assert groups["last"] == (layout.length - 1,)


def test_a_model_of_random_weights_gives_nothing_to_find(
    scenes: Dataset, model: Checkpoint
) -> None:
    bench = Bench(model, scenes.categories, (), SETTINGS, OwnSettings())
    rows: list[Record] = []
    for image in range(4):
        rows += measure(bench, target_of(scenes, image))
    items = [row for row in rows if isinstance(row, InterchangeItem)]
    skips = [row for row in rows if isinstance(row, SkippedRecord)]
    assert items or skips
    found = verdicts_of(rows)
    assert not {one.outcome for one in found} & {HELD}
    measured = sum(item.clean_right and item.flips for item in items)
    assert measured < 6


def frame(rows: list[Record], kind: type) -> pl.DataFrame:
    (name,) = (name for name, one in tables().items() if one is kind)
    return framed(name, [row for row in rows if isinstance(row, kind)])


def verdicts_of(rows: list[Record]) -> list:
    cells, routes = frame(rows, InterchangeRecord), frame(rows, PathRecord)
    errors = agreement_table(frame(rows, AgreementRecord))
    return [carrier(cells), relay(routes, "poll"), approximation(errors)]


def planted(images: int, effect: float, error: float = 0.0) -> list[Record]:
    """Records of a model whose object carries `effect` at its input, and hands it on."""
    generator = np.random.default_rng(0)
    rows: list[Record] = []
    for image in range(images):
        name = (image, image, "dog", "poll")
        for direction in ("noising", "denoising"):
            noise = generator.normal(0, 0.02, 400).tolist()
            told = {"tokens": 9, "clean_difference": 5.0, "corrupt_difference": -5.0}
            for group, share in (("object", effect), ("matched", 0.0), ("last", 0.0)):
                for layer in range(3):
                    for head in (-1, 0, 1):
                        found = (share if layer == 0 and head < 0 else 0.0) + noise.pop()
                        guess = dict.fromkeys(("attribution", "eap_ig", "relp"), found)
                        rows.append(
                            InterchangeRecord(
                                *name,
                                direction=direction,
                                layer=layer,
                                group=group,
                                head=head,
                                difference=0.0,
                                carried=found,
                                **told,
                                **guess,
                            )
                        )
            for route, share in ((DIRECT, 0.1 * effect), (RELAYED, 0.7 * effect)):
                for last in (0, 2):
                    share_found = share + noise.pop()
                    rows.append(PathRecord(*name, direction, route, 0, last, 0.0, share_found))
            for method in ("attribution", "eap_ig", "relp"):
                good = 1 - error + noise.pop() / 10
                row = AgreementRecord(
                    *(*name, direction, "residual stream", method),
                    *(9, min(1, good), 1 - error, 9, min(1, good), error),
                )
                rows.append(row)
    return rows


DIRECT, RELAYED = "object -> last", "object -> question -> last"


def test_a_planted_effect_is_found() -> None:
    assert [one.outcome for one in verdicts_of(planted(12, 0.9))] == [HELD] * 3


def test_no_effect_is_not_found() -> None:
    assert [one.outcome for one in verdicts_of(planted(12, 0.0, error=0.6))] == [NOT_HELD] * 3


def test_few_images_are_too_few() -> None:
    outcomes = [one.outcome for one in verdicts_of(planted(3, 0.9))]
    assert all("too few" in outcome for outcome in outcomes)
    assert [one.outcome for one in verdicts_of([])] == [NOT_MEASURED] * 3


def test_tables_hold_every_cell_and_head() -> None:
    rows = planted(8, 0.9)
    cells = frame(rows, InterchangeRecord)
    table = cell_table(cells)
    assert table.height == 2 * 3 * 3
    top = table.filter(direction="denoising", group="object", layer=0).row(0, named=True)
    assert top["carried"] == pytest.approx(0.9, abs=0.03)
    assert top["carried_low"] < top["carried"] < top["carried_high"]
    assert top["relp"] == pytest.approx(top["carried"])
    heads = head_table(cells)
    assert heads.height == 2 * 3 * 3 * 2
    assert (heads["p"] > 0.05).all(), "noise is not significant after Holm's correction"
    strong = cells.with_columns(
        carried=pl.when(
            (pl.col("head") == 1) & (pl.col("layer") == 2) & (pl.col("group") == "last")
        )
        .then(pl.col("image_id") / 100 + 0.5)
        .otherwise(pl.col("carried") * 0)
    )
    first = head_table(strong).row(0, named=True)
    assert (first["group"], first["layer"], first["head"]) == ("last", 2, 1)
    assert path_table(frame(rows, PathRecord)).height == 2 * 2 * 2


def test_items_that_can_not_be_measured_are_counted() -> None:
    told = ("dog", "poll", "Is there a dog?", "exchange", "cat", "Yes", "No")
    rows: list[Record] = [
        InterchangeItem(1, 1, *told, 5.0, -5.0, True, True),
        InterchangeItem(2, 2, *told, 5.0, 1.0, True, False),
        InterchangeItem(3, 3, *told, -1.0, -5.0, False, True),
    ]
    (row,) = item_table(frame(rows, InterchangeItem)).iter_rows(named=True)
    counts = (row["pairs"], row["clean_right"], row["flipped"], row["measured"])
    assert counts == (3, 2, 2, 1)


def test_the_report_draws_what_was_measured_and_nothing_else() -> None:
    for rows in (planted(8, 0.9), []):
        made = {
            "interchange": cell_table(frame(rows, InterchangeRecord)),
            "interchange_heads": head_table(frame(rows, InterchangeRecord)),
            "interchange_paths": path_table(frame(rows, PathRecord)),
            "interchange_agreement": agreement_table(frame(rows, AgreementRecord)),
            "interchange_items": item_table(frame(rows, InterchangeItem)),
        }
        section = REPORT.section(made)
        drawn = [sketch.draw() for sketch in REPORT.sketches(made)]
        assert [figure is not None for figure in drawn] == [bool(rows)] * len(drawn)
        assert bool(section.brief) == bool(rows)


def test_runs_are_compared_by_what_the_object_carries_at_the_input() -> None:
    strong, weak = (
        REPORT.headline(
            results_of({"interchange": frame(planted(8, effect), InterchangeRecord)}), CORRECTED
        )
        for effect in (0.9, 0.2)
    )
    table = side_by_side({"strong": strong, "weak": weak})
    assert table.filter(name="weak", row="at the input, object, denoising")["change"].item() < -0.5
    (grid,) = comparison_grids(table)
    assert grid.heads == ("", "strong", "weak")
