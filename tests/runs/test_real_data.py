"""The paper's command on a tiny random LLaVA in the hub's format, over COCO with every oddity."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tiny
from PIL import Image

from retinoscope.errors import DataError
from retinoscope.results import Results, read
from retinoscope.runs import Plan, Silent, run
from tests import odd_coco

WORDS = [*tiny.WORDS, "traffic", "light", "lights", "cats", "apples"]
MEAN_IMAGES = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, with a vocabulary that spells a category of two words."""
    return tiny.save(tmp_path_factory.mktemp("model"), vocabulary=list(dict.fromkeys(WORDS)))


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd_coco.write(tmp_path_factory.mktemp("data") / "coco")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images for the mean in folders of classes, one of them no image."""
    root = tmp_path_factory.mktemp("imagenet")
    for index in range(MEAN_IMAGES):
        path = root / f"n{index % 2:08d}" / f"{index}.JPEG"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(odd_coco.noise(100 + index)).save(path)
    (root / "n00000000" / "torn.JPEG").write_bytes(b"\xff\xd8 torn")
    return root


@pytest.fixture(scope="module")
def whole(
    model: Path, coco: Path, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Results, str]:
    """The command as a user types it, and what it printed."""
    root = tmp_path_factory.mktemp("run")
    asked = root / "questions.json"
    asked.write_text(json.dumps({"139": ["What is at the left ?"], "285": [], "1": []}))
    arguments = (
        f"reproduce --model {model} --data coco:{coco} --mean-images {images} "
        f"--no-curation --questions {asked} --verbose --out {root / 'run'}"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from retinoscope.cli.main import app; app()", *arguments.split()],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return read(root / "run"), done.stdout


def test_every_readable_object_is_measured(whole: tuple[Results, str]) -> None:
    results, _ = whole
    assert results.manifest.status == "complete"
    seen = set(odd_coco.READABLE) - {odd_coco.OUTSIDE}
    for table in ("ablation", "lens", "knockout"):
        assert set(results[table]["image_id"]) == seen, table
    assert set(results["ablation"]["class_name"]) == {"cat", "dog", "traffic light", "apple"}
    assert results["curation"].is_empty()


def test_an_object_that_the_crop_cuts_keeps_what_is_seen(whole: tuple[Results, str]) -> None:
    results, _ = whole
    rows = results["ablation"].filter(
        (pl.col("image_id") == 1000) & (pl.col("selection") == "object")
    )
    # The crop is the wide image's middle, 50 to 110: the object's 14 columns there are the
    # grid's first column of four patches; the outline's rows 12 to 46 touch all four rows.
    assert set(rows["tokens"]) == {4}


def test_what_is_bad_costs_itself_and_is_counted(whole: tuple[Results, str]) -> None:
    results, told = whole
    counts, skipped = results.manifest.counts, results["skipped"]
    assert counts["images"] == 13
    assert counts["objects that fit the filter"] == len(odd_coco.READABLE) + 3
    assert counts["objects to measure"] == len(odd_coco.READABLE)
    assert counts["objects left out: crowd region"] == 1
    assert counts["objects left out: more than 3 annotations in the image"] == 4
    assert counts["images in the mean visual token"] == MEAN_IMAGES
    assert counts["skips"] == len(skipped) == sum(results.manifest.skipped.values())
    data = {row["image_id"]: row["reason"] for row in _of(skipped, "data")}
    assert data.keys() == odd_coco.UNREADABLE.keys()
    for image_id, reason in odd_coco.UNREADABLE.items():
        assert reason in data[image_id]
    (torn,) = _of(skipped, "mean visual token")
    assert "torn.JPEG" in torn["reason"]
    outside = skipped.filter(pl.col("image_id") == odd_coco.OUTSIDE)
    assert set(outside["experiment"]) == {"ablation", "lens", "knockout"}
    assert "images in the mean visual token: 5" in told


def _of(skipped: pl.DataFrame, experiment: str) -> list[dict[str, Any]]:
    return skipped.filter(pl.col("experiment") == experiment).to_dicts()


def test_the_question_of_the_papers_form_is_asked(whole: tuple[Results, str]) -> None:
    results, _ = whole
    asked = results["ablation"].filter(pl.col("task") == "ask")
    assert set(asked["image_id"]) == {139}
    assert set(asked["prompt"]) == {"What is at the left ?"}


def test_the_papers_figures_stand_beside_the_models(whole: tuple[Results, str]) -> None:
    results, told = whole
    page = (results.path / "report.html").read_text()
    for figure in ("71.8", "51.3", "86.7", "23.7"):
        assert figure in page
        assert figure in told
    assert "torn.JPEG" in page


def test_the_mean_of_a_file_gives_the_run_of_that_mean(
    model: Path, coco: Path, images: Path, whole: tuple[Results, str], tmp_path: Path
) -> None:
    """`retinoscope mean` and `--mean-file` lead to the numbers of `--mean-images`."""
    code = "from retinoscope.cli.main import app; app()"
    out = tmp_path / "mean.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", code, "mean", str(images), "--model", str(model), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "torn.JPEG" in done.stdout
    plan = Plan(
        out=tmp_path / "run",
        model=str(model),
        data=f"coco:{coco}",
        mean_file=out,
        curated=False,
        limit=2,
        experiments=("ablation",),
    )
    results = read(run(plan, Silent()))
    mine = results["ablation"].filter((pl.col("task") == "poll") & (pl.col("value") == "mean"))
    first = whole[0]["ablation"].join(mine.select("object_id").unique(), on="object_id")
    theirs = first.filter((pl.col("task") == "poll") & (pl.col("value") == "mean"))
    assert len(mine) == len(theirs) > 0
    sides = [table.sort(table.columns)["probability"].to_numpy() for table in (mine, theirs)]
    assert np.allclose(*sides, atol=1e-6)


def test_curation_of_a_model_that_names_nothing_says_so(model: Path, tmp_path: Path) -> None:
    coco = odd_coco.write(tmp_path / "coco")
    instances = coco / "annotations" / "instances_val2017.json"
    told = instances.read_text()
    for number, name in enumerate(("cat", "dog", "traffic light", "apple")):
        told = told.replace(f'"{name}"', f'"unspeakable {number}"')
    instances.write_text(told)
    plan = Plan(out=tmp_path / "run", model=str(model), data=f"coco:{coco}", mean_count=6)
    with pytest.raises(DataError, match=r"None of 12 .* 4 could not be used .*uncurated"):
        run(plan, Silent())
    results = read(tmp_path / "run")
    assert results.manifest.status == "interrupted"
    assert results.manifest.counts["objects described"] == 8
