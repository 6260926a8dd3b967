"""A run folder that was damaged, shared or taken over: mended, refused, or told of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from retinoscope.errors import InterventionError, ModelError, RunError
from retinoscope.experiments import Settings
from retinoscope.experiments.knockout.settings import KnockoutSettings
from retinoscope.results.lock import driving
from retinoscope.results.manifest import installed_versions, read_manifest
from retinoscope.results.store import read
from retinoscope.runs import Silent, local, run, units
from tests.runs.test_local import plan


class Notes(Silent):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, text: str) -> None:
        self.told.append(text)


def small(out: Path, **changes):
    settings = Settings(buffers=(0, 1), values=("zero",), tasks=("poll",))
    given = {"limit": 2, "experiments": ("lens", "knockout"), "settings": settings}
    given["own"] = {"knockout": KnockoutSettings(sweeps=())}
    return plan(out, **given | changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(small(tmp_path_factory.mktemp("runs") / "whole"), Silent())


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "records").glob("*.parquet")}


def test_what_was_damaged_is_measured_again_to_the_byte(whole: Path, copy: Path) -> None:
    parts = copy / "records" / ".parts"
    broken = [
        sorted((parts / "knockout").glob("*.part"))[0],
        sorted((parts / "curation").glob("*.part"))[0],
        sorted((parts / "skipped").glob("lens-*.part"))[1],
        next((copy / "lens").glob("*@*.npz")),
    ]
    for number, path in enumerate(broken):
        content = bytearray(path.read_bytes())
        content[len(content) * number // 4] ^= 1
        path.write_bytes(content)
    sorted((parts / "skipped").glob("knockout-*.part"))[1].unlink()
    notes = Notes()
    run(small(copy), notes)
    assert len(notes.told) == len(broken)
    for path in broken:
        assert any(str(path) in told for told in notes.told)
        assert path.read_bytes() == (whole / path.relative_to(copy)).read_bytes()
    assert tables(copy) == tables(whole)
    assert read_manifest(copy).status == "complete"


def test_other_versions_are_told_and_written_down(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = installed_versions() | {"torch": "99.0"}
    monkeypatch.setattr(local, "installed_versions", lambda: now)
    for times in range(2):
        notes = Notes()
        run(small(copy), notes)
        told = [text for text in notes.told if "torch" in text]
        assert len(told) == (1 if times == 0 else 0)
    before = installed_versions()["torch"]
    assert read(copy).manifest.versions["torch"] == f"{before}, then 99.0"


@pytest.mark.parametrize("left", ["parts", "tables", "lens"])
def test_without_a_manifest_records_of_other_settings_are_refused(copy: Path, left: str) -> None:
    (copy / "manifest.json").unlink()
    if left != "parts":
        shutil.rmtree(copy / "records" / ".parts")
    if left == "lens":
        shutil.rmtree(copy / "records")
    before = sorted(copy.rglob("*"))
    with pytest.raises(RunError, match="another run"):
        run(small(copy, limit=1), Silent())
    assert {*sorted(copy.rglob("*"))} - {*before} <= {copy / ".lock", copy / ".driver"}


def test_without_a_manifest_records_of_the_same_settings_are_kept(whole: Path, copy: Path) -> None:
    (copy / "manifest.json").unlink()
    notes = Notes()
    run(small(copy), notes)
    assert "no manifest" in notes.told[0]
    assert tables(copy) == tables(whole)


def test_a_second_driver_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with driving(tmp_path / "run"), pytest.raises(RunError, match="Another process measures"):
        run(small(tmp_path / "run", model="./nowhere"), Silent())


@pytest.mark.parametrize("kind", [ModelError, InterventionError])
def test_an_experiment_that_the_model_cannot_do_does_not_cost_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    measure = units._measure

    def fail(store, own, bench, unit):
        if unit.experiment == "lens":
            raise kind("there is no lens of this model")
        measure(store, own, bench, unit)

    monkeypatch.setattr(units, "_measure", fail)
    with pytest.raises(RunError, match="experiment lens stopped: there is no lens"):
        run(small(tmp_path / "run", limit=1, sheets=0), Silent())
    results = read(tmp_path / "run")
    assert results.manifest.status == "interrupted"
    assert len(results["knockout"]) > 0
