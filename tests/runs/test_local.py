"""Whole runs on the embedded model: complete, resumable, refused where they can't be."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retinoscope.errors import DataError, RunError
from retinoscope.experiments import Settings
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.results.records import tables
from retinoscope.results.sheet import load_sheet
from retinoscope.results.store import read
from retinoscope.runs import Plan, Silent, run

SMALL = Settings(buffers=(0, 1), values=("mean", "zero"), max_new_tokens=30)
OWN = {"ablation": AblationSettings(sizes=(5, 40), gradient_nodes=8)}


def plan(out: Path, **changes) -> Plan:
    base = Plan(
        out=out, data="embedded:30", mean_count=6, limit=3, sheets=1, settings=SMALL, own=OWN
    )
    return replace(base, **changes)


class Impatient(Silent):
    """Presses Ctrl-C at some step of some stage."""

    def __init__(self, stage: str, step: int) -> None:
        self.wanted, self.name = (stage, step), ""

    def stage(self, name: str, steps: int) -> None:
        self.name = name

    def step(self, done: int) -> None:
        if (self.name, done) == self.wanted:
            raise KeyboardInterrupt


class Steps(Silent):
    """Remembers the last step of each stage."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}

    def stage(self, name: str, steps: int) -> None:
        self.name = name

    def step(self, done: int) -> None:
        self.last[self.name] = done


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(plan(tmp_path_factory.mktemp("runs") / "whole"), Silent())


def test_a_run_leaves_a_true_manifest_and_every_table(whole):
    results = read(whole)
    manifest = results.manifest
    assert manifest.status == "complete"
    assert manifest.finished >= manifest.started
    assert manifest.counts["objects kept"] == 3
    assert manifest.counts["ablation records"] == len(results["ablation"])
    assert manifest.model.files["model.safetensors"]
    assert set(results.tables) == set(tables())
    kept = results["curation"].filter("kept")["object_id"].unique()
    for table in ("ablation", "lens", "knockout"):
        assert set(results[table]["object_id"]) <= set(kept)
        assert len(results[table]) > 0
    clean, compared = sorted((whole / "lens").glob("*.npz"))
    assert compared.stem == f"{clean.stem}@object+1"
    shown, ablated = (load_sheet(path, manifest.key) for path in (clean, compared))
    assert ablated.condition == "object +1 replaced by the mean token"
    assert shown.tracked == ablated.tracked
    close = np.isclose(shown.probabilities, ablated.probabilities, atol=1e-5)
    same = np.logical_and.reduce(close, axis=-1)
    first = int((~same[0]).argmax())
    assert not same[0, first]
    # What stands before the first replaced token can't read it.
    assert same[:, :first].all()
    assert not same[1:, first:].all()


def test_every_task_and_object_has_its_clean_run(whole):
    rows = read(whole)["ablation"]
    clean = rows.filter(rows["selection"] == "none")
    assert clean.select("object_id", "task").n_unique() == len(clean)
    assert clean.select("object_id", "task").n_unique() == (
        rows.select("object_id", "task").n_unique()
    )


def test_matched_sets_have_the_size_of_what_they_are_matched_to(whole):
    rows = read(whole)["ablation"]
    sizes = {
        (r["object_id"], r["task"], r["selection"]): r["tokens"]
        for r in rows.filter(rows["matched"] == "").iter_rows(named=True)
    }
    matched = rows.filter(rows["matched"] != "")
    assert len(matched) > 0
    for row in matched.iter_rows(named=True):
        assert row["tokens"] == sizes[row["object_id"], row["task"], row["matched"]]


@pytest.mark.parametrize(("stage", "step"), [("curation", 2), ("ablation", 1), ("knockout", 2)])
def test_an_interrupted_run_ends_as_a_whole_one_does(whole, tmp_path, stage, step):
    out = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        run(plan(out), Impatient(stage, step))
    assert read(out).manifest.status == "interrupted"
    run(plan(out), Silent())
    assert read(out).manifest.status == "complete"
    for table in tables():
        assert read(out)[table].equals(read(whole)[table])


def test_progress_ends_with_what_was_kept_where_that_is_less_than_wanted(tmp_path):
    steps = Steps()
    few = plan(tmp_path / "run", data="embedded:8", limit=20, experiments=("lens",), own={})
    out = run(few, steps)
    kept = int(read(out)["curation"]["kept"].sum())
    assert 0 < kept < 20
    assert steps.last["curation"] == steps.last["lens"] == kept


def test_another_configuration_does_not_go_into_the_same_folder(whole):
    with pytest.raises(RunError, match="limit"):
        run(plan(whole, limit=4), Silent())


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="can't be made"):
        run(plan(tmp_path / "file" / "run"), Silent())


@pytest.mark.parametrize(
    "changes", [{"experiments": ("ablation", "magic")}, {"experiments": ()}, {"limit": 0}]
)
def test_unknown_choices_are_refused(tmp_path, changes):
    with pytest.raises(RunError):
        plan(tmp_path, **changes)


def test_unknown_data_are_refused(tmp_path):
    with pytest.raises(DataError, match="not known"):
        run(plan(tmp_path / "run", data="imagenet"), Silent())


@pytest.mark.parametrize("change", ["added", "recoloured"])
def test_other_images_of_the_mean_do_not_go_into_the_same_folder(tmp_path, change):
    """Between two sittings an image is added, or one changes and keeps its size and time."""
    images = tmp_path / "images"
    images.mkdir()
    for index in range(3):
        Image.new("RGB", (192, 192), (60 * index, 9, 9)).save(images / f"{index}.bmp")
    asked = plan(tmp_path / "run", limit=1, mean_count=None, mean_images=str(images))
    with pytest.raises(KeyboardInterrupt):
        run(asked, Impatient("curation", 1))
    times = (images / "1.bmp").stat()
    if change == "added":
        Image.new("RGB", (192, 192), "white").save(images / "4.bmp")
    else:
        Image.new("RGB", (192, 192), "blue").save(images / "1.bmp")
        os.utime(images / "1.bmp", ns=(times.st_atime_ns, times.st_mtime_ns))
        assert (images / "1.bmp").stat().st_size == times.st_size
    with pytest.raises(RunError, match="mean_fingerprint"):
        run(asked, Silent())
