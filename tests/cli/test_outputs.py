"""What commands print as data, and the options that they share; run in this process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import retinoscope as rs
from retinoscope.cli.main import commands
from retinoscope.data import embedded_scenes, load_image, object_mask
from retinoscope.results import read
from retinoscope.shipped import embedded_folder


def printed(*arguments: object, code: int = 0) -> Any:
    """The JSON on the standard output, which holds nothing else."""
    done = CliRunner().invoke(commands, [*map(str, arguments), "--json"])
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene as a photo, with a mask of its first object."""
    folder = tmp_path_factory.mktemp("photo")
    scene = embedded_scenes(10, seed=2).samples[0]
    load_image(scene).save(folder / "photo.png")
    Image.fromarray(object_mask(scene, scene.annotations[0])).save(folder / "mask.png")
    (folder / "images").mkdir()
    load_image(scene).save(folder / "images" / "photo.png")
    torch.manual_seed(0)
    np.save(folder / "mean.npy", torch.randn(192).numpy())
    return folder


def test_the_version_is_printed():
    done = CliRunner().invoke(commands, ["--version"])
    assert (done.exit_code, done.stdout) == (0, f"retinoscope {rs.__version__}\n")


def test_look_prints_its_records(folder):
    asked = ("--mask", folder / "mask.png", "--name", "penguin", "--max-new-tokens", 3)
    found = printed("look", folder / "photo.png", *asked, "--mean-file", folder / "mean.npy")
    assert found["replaced_by"] == "mean"
    clean = next(one for one in found["ablation"] if one["selection"] == "none")
    assert clean["score"]["answer"]
    assert {record["window"] for record in found["knockout"]} >= {"early", "all"}
    assert {record["layer"] for record in found["lens"]} == set(range(9))


def test_check_prints_its_checks(folder):
    found = printed("check", "embedded", folder / "photo.png", "--device", "cpu")
    assert found["device"] == "cpu"
    assert {check["passed"] for check in found["checks"]} <= {True, None}


def test_mean_prints_its_numbers(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = printed("mean", folder / "images", "--out", tmp_path / "mean.safetensors")
    assert (found["images"], found["visual_tokens"], found["shape"]) == (1, 144, [192])
    assert Path(found["file"]).is_file()
    assert found["norm"] > 0


def test_lens_prints_its_pages(folder, tmp_path):
    asked = ("--ablate", folder / "mask.png", "--value", "zero", "--max-new-tokens", 2, "--grow", 0)
    found = printed("lens", folder / "photo.png", "--out", tmp_path, *asked)
    clean, changed = found["pages"]
    assert (clean["replaced"], changed["replaced"], changed["by"]) == (0, 9, "zero")
    assert all(Path(page["page"]).is_file() for page in found["pages"])


def test_models_are_listed():
    assert printed("models")


def test_reproduce_and_report_print_the_summary(tmp_path):
    run = tmp_path / "run"
    asked = ("--limit", 1, "--experiments", "lens", "--no-curation", "--mean-count", 2)
    first = printed("reproduce", "--out", run, "--data", "embedded:4", *asked, "--device", "cpu")
    assert {verdict["name"] for verdict in first["verdicts"]} >= {"Refinement"}
    again = printed("report", run, "--beside", run)
    beside = again.pop("beside")
    assert first == again
    assert beside
    assert again["counts"] == dict(read(run).manifest.counts)
    assert again["tables"]["lens_summary"]


@pytest.mark.parametrize(
    "command", ["look", "lens", "check", "mean", "reproduce", "serve", "score"]
)
def test_the_models_options_are_everywhere_alike(command):
    done = CliRunner().invoke(commands, [command, "--help"], env={"COLUMNS": "200"})
    for option in ("--revision", "--dtype", "--device", "--device-map"):
        assert f"{option} " in done.stdout, option


def test_a_device_that_is_not_there_is_refused(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for command in (("check", "embedded"), ("reproduce", "--out", folder / "run")):
        done = CliRunner().invoke(commands, [*map(str, command), "--device", "cuda"])
        assert "no device 'cuda' here" in str(done.exception)


def test_several_models_are_measured_and_compared(tmp_path):
    copy = shutil.copytree(embedded_folder(), tmp_path / "copied")
    asked = ("--limit", 1, "--experiments", "lens", "--no-curation", "--mean-count", 2)
    models = ("--model", "embedded", "--model", copy)
    out = tmp_path / "out"
    told = printed("reproduce", *models, "--out", out, "--data", "embedded:4", *asked)
    assert [one["run"] for one in told["runs"]] == ["embedded", "copied"]
    assert Path(told["comparison"]) == out / "compare.html"
    first, second = (read(out / name)["lens"] for name in ("embedded", "copied"))
    assert first.equals(second)
