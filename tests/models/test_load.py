"""Loading checkpoints, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import tiny
import torch

from retinoscope.errors import ModelError
from retinoscope.models import load, read
from retinoscope.models.read import file_hashes
from retinoscope.runs.cost.shape import config_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_a_folder_is_loaded_for_looking_not_for_training(folder):
    checkpoint = load(folder)
    assert checkpoint.layer_count == tiny.LAYERS
    assert checkpoint.parts.head_count == tiny.HEADS
    assert not checkpoint.model.training
    assert not any(p.requires_grad for p in checkpoint.model.parameters())
    assert checkpoint.model.dtype == torch.float32
    assert load(folder, dtype=torch.bfloat16).model.dtype == torch.bfloat16


def test_a_small_model_is_widened_on_the_cpu_and_a_large_one_is_not(tmp_path, monkeypatch):
    network = tiny.model().to(torch.bfloat16)
    network.save_pretrained(tmp_path)
    tiny.processor().save_pretrained(tmp_path)
    small = load(tmp_path).model
    assert small.dtype == torch.float32
    for mine, stored in zip(small.parameters(), network.parameters(), strict=True):
        assert torch.equal(mine, stored.float())
    assert load(tmp_path, dtype=torch.bfloat16).model.dtype == torch.bfloat16
    loading = sys.modules["retinoscope.models.read"]
    monkeypatch.setattr(loading, "WIDENED", small.get_memory_footprint() - 1)
    assert load(tmp_path, dtype=torch.float32).model.dtype == torch.float32
    # The bound is on what the checkpoint takes, here half of its float32 footprint.
    assert load(tmp_path).model.dtype == torch.float32
    monkeypatch.setattr(loading, "WIDENED", small.get_memory_footprint() // 3)
    assert load(tmp_path).model.dtype == torch.bfloat16


def test_the_hashes_tell_two_checkpoints_apart(folder, tmp_path):
    other = tiny.save(tmp_path / "other", seed=1)
    mine, its = load(folder).files, file_hashes(other)
    assert mine["config.json"] == its["config.json"]
    assert mine["model.safetensors"] != its["model.safetensors"]


def test_a_folder_has_no_revision(folder):
    with pytest.raises(ModelError, match="no revisions"):
        load(folder, revision="main")


def test_a_type_of_weights_goes_by_its_name_too(folder):
    assert load(folder, dtype="bfloat16").model.dtype == torch.bfloat16
    for wrong in ("int8", "magic"):
        with pytest.raises(ModelError, match="not a type of weights"):
            load(folder, dtype=wrong)


def test_a_mean_must_fit_the_model(folder):
    assert load(folder, mean=torch.zeros(tiny.WIDTH)).mean is not None
    for wrong in (torch.zeros(5), torch.full((tiny.WIDTH,), torch.nan)):
        with pytest.raises(ModelError, match="mean visual token"):
            load(folder, mean=wrong)


def test_a_folder_without_weights_is_refused(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \*\.safetensors weights"):
        load(copy)


def test_pickled_weights_are_refused(copy):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pickled weights \(pytorch_model.bin\)"):
        load(copy)


def test_broken_weights_are_refused(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="can't be loaded"):
        load(copy)


def test_a_folder_without_a_processor_is_refused(copy):
    for name in ("processor_config.json", "preprocessor_config.json"):
        (copy / name).unlink(missing_ok=True)
    with pytest.raises(ModelError):
        load(copy)


def test_a_slip_of_the_pen_is_told_at_once():
    for name in ("embeded", "Embedded"):
        for asking in (load, config_of):
            with pytest.raises(ModelError, match="Did you mean 'embedded'"):
                asking(name)


def test_a_name_that_the_hub_does_not_answer_for_is_asked_for_once(monkeypatch):
    asked: list[str] = []

    def fetched(name, file, **_):
        asked.append(file)
        raise OSError("no network")

    monkeypatch.setattr(read, "cached_file", fetched)
    monkeypatch.setattr(read, "find_adapter_config_file", lambda *_, **__: None)
    with pytest.raises(ModelError, match=r"nobody/nothing is no folder here.*no network"):
        load("nobody/nothing")
    assert asked == ["config.json"]


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no config.json"):
        load(tmp_path)
    with pytest.raises(ModelError, match="not a folder"):
        load(tmp_path / "missing")


def test_a_kind_of_model_that_is_not_known_is_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    config["model_type"] = "no-such-model"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        load(copy)
