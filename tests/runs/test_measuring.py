"""What is wrong with one object costs that object; what is wrong with all of them ends the run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tiny

from retinoscope import errors
from retinoscope.data import Annotation, Sample
from retinoscope.data.selection import Candidate
from retinoscope.errors import RetinoscopeError, RunError
from retinoscope.experiments import OwnSettings, Settings
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.lens.records import LensRecord
from retinoscope.models import load
from retinoscope.results.experiment import experiments
from retinoscope.results.measured import Store, append, done, so_far
from retinoscope.results.records import SkippedRecord
from retinoscope.results.store import consolidate
from retinoscope.runs import Silent, candidates, measuring, units
from retinoscope.runs.executors.inline import Inline
from retinoscope.runs.units import Drawing, Measurement, Stopped

OWN = {errors.SampleError, errors.SelectionError, errors.TokenMapError}

KNOWN = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, RetinoscopeError)
]


def candidate(number: int) -> Candidate:
    annotation = Annotation(number, "dog", 9.0, (0.0, 0.0, 3.0, 3.0), False, b"")
    return Sample(number, Path(f"{number}.png"), 8, 8, (annotation,)), annotation


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    checkpoint = load(tiny.save(tmp_path_factory.mktemp("tiny")))
    objects = [candidate(number) for number in (1, 2, 3)]
    return Bench(checkpoint, ("dog",), objects, Settings(), OwnSettings())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "run").mkdir()
    return Store(tmp_path / "run", "k")


@pytest.mark.parametrize("kind", KNOWN)
def test_only_an_objects_own_fault_is_a_skip(
    bench: Bench, store: Store, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise kind("what went wrong")

    for module in (candidates, units):
        monkeypatch.setattr(module, "target_of", fail)
    sheet = experiments()["lens"].sheets[0]
    works = [Measurement("lens", 2), Drawing(sheet.read, sheet.suffix, 2)]
    stopping = issubclass(kind, errors.ModelError | errors.InterventionError)
    for work in works:
        do = partial(units.carry_out, store, {"lens": OwnSettings()}, bench, work)
        if kind in OWN:
            assert do() is None
        elif stopping:
            assert do() == Stopped("what went wrong")
        else:
            with pytest.raises(kind):
                do()
    skips = so_far(store, "skipped")
    assert skips["reason"].to_list() == ["what went wrong"] * (2 if kind in OWN else 0)
    if kind in OWN:
        assert "what went wrong" in str(candidates.curated(bench, 2))
    else:
        with pytest.raises(kind):
            candidates.curated(bench, 2)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Measures nothing, and remembers what it was asked for."""
    found: list[int] = []

    def measure(bench: Bench, target: Candidate) -> list[LensRecord | SkippedRecord]:
        image = target[0].image_id
        found.append(image)
        row = LensRecord(image, 1, "dog", "object", 0, 4, 1, 2, 1.0, -1.0, 2.0)
        return [row, SkippedRecord("lens", image, 1, "", "why")]

    monkeypatch.setattr(units, "target_of", lambda bench, one: one)
    monkeypatch.setattr("retinoscope.experiments.lens.measure.measure", measure)
    return found


def lens(bench: Bench, store: Store) -> None:
    own = {"lens": OwnSettings()}
    measuring.measure(own, {}, Inline(bench), bench, range(3), 0, store, Silent())


def gathered(store: Store) -> dict[str, bytes]:
    consolidate(store)
    return {path.name: path.read_bytes() for path in (store.run / "records").glob("*.parquet")}


def test_every_experiment_begins_before_any_goes_on(bench: Bench, store: Store) -> None:
    own = {name: OwnSettings() for name in ("lens", "knockout")}
    order: list[tuple[str, int]] = []

    class Noting(Inline):
        def map(self, job: Any, targets: Any) -> Any:
            for one in targets:
                order.append((one.stage, one.place))
                yield one, None

    with pytest.raises(RunError, match="measured none"):
        measuring.measure(own, {}, Noting(bench), bench, range(3), 0, store, Silent())
    rest = [(name, place) for name in own for place in (1, 2)]
    assert order == [("lens", 0), ("knockout", 0), *rest]


@pytest.mark.parametrize("table", ["lens", "skipped"])
@pytest.mark.parametrize("damage", ["deleted", "cut off"])
def test_an_object_without_one_of_its_parts_is_measured_again(
    bench: Bench, store: Store, asked: list[int], table: str, damage: str
) -> None:
    lens(bench, store)
    before = gathered(store)
    assert asked == [1, 2, 3]
    name = {"lens": "2-2", "skipped": "lens-2-2"}[table]
    part = store.run / "records" / ".parts" / table / f"{name}.part"
    if damage == "deleted":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-5])
    lens(bench, store)
    assert asked == [1, 2, 3, 2]
    assert name in done(store, table)
    assert before == gathered(store)


def test_a_run_folder_that_is_not_there_is_no_place_for_records(
    bench: Bench, tmp_path: Path, asked: list[int]
) -> None:
    # As on a node of a cluster that doesn't share the disk: its records would never be seen.
    with pytest.raises(RunError, match="no run folder"):
        lens(bench, Store(tmp_path / "elsewhere", "k"))


class _Notes(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def test_an_experiment_without_a_record_is_told_with_its_reasons(store: Store) -> None:
    append(store, "skipped", "knockout-1-1", [SkippedRecord("knockout", 1, 1, "", "no edge")])
    append(store, "skipped", "lens-1-1", [SkippedRecord("lens", 1, 1, "", "not of this")])
    append(store, "knockout", "1-1", [])
    notes = _Notes()
    with pytest.raises(RunError, match="knockout measured none of 4 objects: no edge") as caught:
        measuring.tell_empty(store, {"knockout": 4}, notes)
    assert "not of this" not in str(caught.value)
    row = LensRecord(1, 1, "dog", "object", 0, 4, 1, 2, 1.0, -1.0, 2.0)
    append(store, "lens", "1-1", [row])
    measuring.tell_empty(store, {"lens": 4}, notes)
    assert not notes.texts
    measuring.tell_empty(store, {"lens": 4, "knockout": 4}, notes)
    (told,) = notes.texts
    assert "knockout measured none" in told
