"""Models that come with the package or with the variants: found by name, or told how to install."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import retinoscope as rs
from retinoscope import shipped
from retinoscope.cli.main import commands
from retinoscope.errors import ModelError
from retinoscope.models import load
from retinoscope.report.built_in import built_in, model_card
from retinoscope.results.manifest import ModelIdentity
from retinoscope.runs import Silent
from retinoscope.runs.mean import OWN_COUNT, mean_dataset, measured_mean, shipped_mean
from retinoscope.shipped import is_shipped, shipped_folder, shipped_models


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package without the variants."""
    monkeypatch.setitem(sys.modules, shipped.VARIANTS, None)


def test_names_of_shipped_models_are_told_from_folders_and_hub_names() -> None:
    assert is_shipped("embedded") and is_shipped("embedded/V1")
    assert not any(is_shipped(x) for x in ("embedded2/V1", "./embedded/V1", Path("embedded"), None))


@pytest.mark.parametrize("name", ["V1", "smollm2"])
def test_a_missing_distribution_is_told_by_name(alone: None, name: str) -> None:
    with pytest.raises(ModelError, match=f"embedded/{name} .*pip install retinoscope-variants"):
        load(f"embedded/{name}")
    assert list(shipped_models()) == ["embedded", "embedded/reference"]


@pytest.mark.parametrize("name", ["embedded/V99", "embedded/../smollm2", "embedded/"])
def test_an_unknown_name_is_refused_with_those_that_there_are(variants: Path, name: str) -> None:
    with pytest.raises(
        ModelError, match=f"no model '{name}'.*embedded/reference, embedded/pointed"
    ):
        load(name)


def test_the_cards_are_those_of_the_folders_that_lie_there(variants: Path) -> None:
    listed = {name.removeprefix("embedded/") for name in shipped_models()} - {"embedded"}
    assert listed - {"reference"} == {file.parent.name for file in variants.glob("*/README.md")}


def test_everything_is_as_small_as_promised(variants: Path) -> None:
    def size(folder: Path) -> int:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    own = {shipped_folder(name) for name in ("embedded", "embedded/reference")}
    assert sum(map(size, own)) < 25e6
    assert size(variants) < 80e6


@pytest.mark.parametrize("variants_are_there", [True, False])
def test_the_command_lists_what_is_installed(
    variants_are_there: bool, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("variants" if variants_are_there else "alone")
    listed = CliRunner().invoke(commands, ["models", "--variants", "--json"])
    assert json.loads(listed.stdout) == shipped_models()
    table = CliRunner().invoke(commands, ["models", "--variants"]).stdout
    assert ("pip install" in table) != variants_are_there
    assert ("embedded/smollm2" in table) == variants_are_there


def test_what_a_training_built_in_is_what_its_card_says(variants: Path) -> None:
    found = {}
    for name in shipped_models():
        model = ModelIdentity(name, "", {})
        found[name] = built_in(model)
        card = " ".join(model_card(model).split())
        assert all(f"**{sentence}**" in card for sentence in found[name].values())
        assert card.count("### A choice that shapes") == len(found[name])
    assert "Extraction" not in found["embedded"]
    assert [*found["embedded/pointed"]] == ["Localisation", "Refinement", "Extraction"]
    other = ModelIdentity("llava-hf/llava-1.5-7b-hf", "", {})
    assert not built_in(other) and not model_card(other)


def test_what_a_variant_that_is_not_installed_was_trained_for_is_not_guessed(alone: None) -> None:
    assert not built_in(ModelIdentity("embedded/pointed", "", {}))


def test_the_pointed_model_is_another_with_the_same_words(variants: Path) -> None:
    own, pointed = load("embedded"), load("embedded/pointed")
    assert pointed.files["model.safetensors"] != own.files["model.safetensors"]
    assert pointed.files["tokenizer.json"] == own.files["tokenizer.json"]
    assert load("embedded/reference").files == own.files


@pytest.mark.parametrize("option", [{"revision": "main"}, {"device_map": "auto"}])
def test_what_does_not_apply_to_smollm2_is_refused(variants: Path, option: dict[str, str]) -> None:
    with pytest.raises(ModelError, match=f"{next(iter(option))} can't be set"):
        load("embedded/smollm2", **option)


def test_the_embedded_model_comes_with_its_own_mean() -> None:
    """The shipped file is what measuring the mean over the embedded scenes gives."""
    checkpoint = load("embedded", device="cpu")
    shipped = shipped_mean(checkpoint)
    assert shipped is not None and shipped.mean is not None
    scenes = mean_dataset("embedded", None, OWN_COUNT, None)
    measured = measured_mean(checkpoint, scenes, OWN_COUNT, Silent())
    assert measured.images == OWN_COUNT
    torch.testing.assert_close(shipped.mean, measured.value, rtol=1e-4, atol=1e-5)
    assert rs.load("embedded", device="cpu").checkpoint.mean is not None
