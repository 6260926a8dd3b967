"""Parts that were put together are the same parts: nothing is lost, doubled or taken unnoticed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retinoscope.errors import DamagedError, RunError
from retinoscope.results import sorting
from retinoscope.results.claim import claim
from retinoscope.results.manifest import write_manifest
from retinoscope.results.measured import Store, append, bundle, done, row_count, so_far
from retinoscope.results.store import consolidate, read
from tests.damage import unnoticed
from tests.results.test_store import lens, manifest, skipped


def gathered(store: Store) -> bytes:
    consolidate(store)
    return (store.run / "records" / "skipped.parquet").read_bytes()


def write(store: Store, number: int, reason: str = "too small") -> None:
    append(store, "skipped", f"{number}", [skipped(number, reason)] * (number % 3))


@settings(max_examples=20)
@given(
    work=st.lists(st.integers(0, 9) | st.just("bundle"), max_size=40),
)
def test_bundling_at_any_moment_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, work: Sequence[int | str]
) -> None:
    plain, often = (Store(tmp_path_factory.mktemp("run"), "k") for _ in range(2))
    for turn, step in enumerate(work):
        if step == "bundle":
            bundle(often, fewest=1)
        else:
            for store in (plain, often):
                # Done again, a unit's rows replace those in a bundle.
                write(store, int(step), f"turn {turn}")
    assert done(often, "skipped") == done(plain, "skipped")
    assert (
        row_count(often, "skipped") == row_count(plain, "skipped") == len(so_far(plain, "skipped"))
    )
    assert gathered(often) == gathered(plain)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "run", manifest().key)
    write_manifest(store.run, manifest(status="complete"))
    for number in range(12):
        write(store, number)
    return store


def test_a_kill_between_bundle_and_parts_doubles_nothing(store: Store, tmp_path: Path) -> None:
    parts = store.run / "records" / ".parts" / "skipped"
    whole = gathered(store)
    shutil.copytree(parts, tmp_path / "before")
    bundle(store, fewest=1)
    assert list(parts.glob("*.part")) == []
    for part in (tmp_path / "before").iterdir():
        shutil.copy(part, parts)
    assert gathered(store) == whole
    bundle(store, fewest=1)
    assert gathered(store) == whole
    assert row_count(store, "skipped") == 12


def test_few_parts_are_left_as_they_are(store: Store) -> None:
    bundle(store, fewest=13)
    assert len(list((store.run / "records" / ".parts" / "skipped").glob("*.part"))) == 12


def test_every_damage_to_a_bundle_is_noticed(store: Store) -> None:
    bundle(store, fewest=1)
    whole = so_far(store, "skipped")

    def rows() -> pl.DataFrame:
        found = so_far(store, "skipped")
        if found.is_empty():
            raise DamagedError("left out, so that it is measured anew")
        return found

    (path,) = (store.run / "records" / ".parts" / ".bundles" / "skipped").iterdir()
    wrong, noticed = unnoticed(path, rows, whole.equals, seed=0)
    assert wrong == 0
    assert noticed > len(path.read_bytes())


def test_a_damaged_bundle_is_cleared_away_and_its_units_are_missing(store: Store) -> None:
    bundle(store, fewest=1)
    write(store, 20)
    (path,) = (store.run / "records" / ".parts" / ".bundles" / "skipped").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunError, match="damaged"):
        consolidate(store)
    assert claim(store) == [str(path)]
    assert claim(store) == []
    assert done(store, "skipped") == {"20"}


def test_a_bundle_of_another_run_is_refused(store: Store) -> None:
    bundle(store, fewest=1)
    with pytest.raises(RunError, match="another run"):
        claim(Store(store.run, "another"))


@settings(max_examples=15)
@given(
    rows=st.lists(st.tuples(st.integers(-5, 5), st.floats(0, 3)), min_size=1, max_size=60),
    at_once=st.integers(1, 20),
)
def test_a_table_sorted_range_by_range_is_the_table_sorted_at_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, float]], at_once: int
) -> None:
    contents = []
    for shuffled in (rows, [*reversed(rows)]):
        store = Store(tmp_path_factory.mktemp("run"), manifest().key)
        write_manifest(store.run, manifest(status="complete"))
        for number, (image, rank) in enumerate(shuffled):
            append(store, "lens", f"{number}", [lens(image, rank)])
            if number % 7 == 6:
                bundle(store, fewest=3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sorting, "AT_ONCE", at_once)
            consolidate(store)
        contents.append((store.run / "records" / "lens.parquet").read_bytes())
        found = read(store.run)["lens"]
        assert found.equals(so_far(store, "lens").sort(found.columns))
    assert contents[0] == contents[1]
    assert list(store.run.rglob(".sorting-*")) == []
