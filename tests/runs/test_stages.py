"""What is wrong with one object costs that object; what is wrong with all of them ends the run."""

from __future__ import annotations

from collections.abc import Iterator
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
from retinoscope.results.records import SkippedRecord
from retinoscope.results.store import Store, append, consolidate, done
from retinoscope.runs import Silent, stages

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
    return Bench(
        load(tiny.save(tmp_path_factory.mktemp("tiny"))), ("dog",), [candidate(3)], Settings()
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "run", "k")


@pytest.mark.parametrize("kind", KNOWN)
def test_only_an_objects_own_fault_is_a_skip(
    bench: Bench, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise kind("what went wrong")

    monkeypatch.setattr(stages, "_target", fail)
    read = experiments()["lens"].sheets[0].read
    jobs = [
        partial(stages.measured, "lens", OwnSettings()),
        stages._curation,
        partial(stages.sheet, read),
    ]
    for job in jobs:
        if kind in OWN:
            assert "what went wrong" in str(job(bench, candidate(3)))
        else:
            with pytest.raises(kind):
                job(bench, candidate(3))


class Each:
    """Measures nothing, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, job: object, candidates: Any) -> Iterator[Any]:
        for sample, _ in candidates:
            self.asked.append(sample.image_id)
            row = LensRecord(sample.image_id, 1, "dog", "object", 0, 4, 1, 2, 1.0, -1.0, 2.0)
            yield [row, SkippedRecord("lens", sample.image_id, 1, "", "why")]


@pytest.mark.parametrize("table", ["lens", "skipped"])
@pytest.mark.parametrize("damage", ["deleted", "cut off"])
def test_an_object_without_one_of_its_parts_is_measured_again(
    store: Store, table: str, damage: str
) -> None:
    each, kept = Each(), [candidate(number) for number in (1, 2, 3)]
    stages.measure(experiments()["lens"], OwnSettings(), each, kept, store, Silent())
    consolidate(store)
    before = {path.name: path.read_bytes() for path in (store.run / "records").glob("*.parquet")}
    assert each.asked == [1, 2, 3]
    name = {"lens": "2-2", "skipped": "lens-2-2"}[table]
    part = store.run / "records" / ".parts" / table / f"{name}.part"
    if damage == "deleted":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-5])
    again = Each()
    stages.measure(experiments()["lens"], OwnSettings(), again, kept, store, Silent())
    assert again.asked == [2]
    assert name in done(store, table)
    consolidate(store)
    assert before == {
        path.name: path.read_bytes() for path in (store.run / "records").glob("*.parquet")
    }


def test_an_experiment_without_a_record_is_an_error_with_its_reasons(store: Store) -> None:
    append(store, "skipped", "knockout-1-1", [SkippedRecord("knockout", 1, 1, "", "no edge")])
    append(store, "skipped", "lens-1-1", [SkippedRecord("lens", 1, 1, "", "not of this")])
    append(store, "knockout", "1-1", [])
    with pytest.raises(RunError, match="knockout measured none of 4 objects: no edge") as caught:
        stages.refuse_empty(store, ("knockout",), 4)
    assert "not of this" not in str(caught.value)
    row = LensRecord(1, 1, "dog", "object", 0, 4, 1, 2, 1.0, -1.0, 2.0)
    append(store, "lens", "1-1", [row])
    stages.refuse_empty(store, ("lens",), 4)
