"""Whatever happens to a byte of a run folder is noticed, or harmless."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from retinoscope.errors import DamagedError, RunError
from retinoscope.results.claim import claim
from retinoscope.results.manifest import read_manifest, write_manifest
from retinoscope.results.measured import Store, append, done, so_far
from retinoscope.results.sheet import LensSheet, load_sheet, save_sheet
from retinoscope.results.store import consolidate, gather, read
from tests.damage import unnoticed
from tests.results.test_sheet import sheet
from tests.results.test_store import lens, manifest, skipped


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A run with two parts of two tables, gathered."""
    store = Store(tmp_path / "run", manifest().key)
    write_manifest(store.run, manifest(status="complete"))
    append(store, "lens", "7-1", [lens(7, rank) for rank in (1.0, 2.5)])
    append(store, "skipped", "lens-7-1", [skipped(7)])
    consolidate(store)
    return store


def test_every_damage_to_a_part_is_noticed(store: Store) -> None:
    whole = so_far(store, "lens")
    part = store.run / "records" / ".parts" / "lens" / "7-1.part"

    def rows() -> pl.DataFrame:
        found = so_far(store, "lens")
        if found.is_empty():
            raise DamagedError("left out, so that it is measured anew")
        return found

    wrong, noticed = unnoticed(part, rows, whole.equals, seed=0)
    assert wrong == 0
    assert noticed > len(part.read_bytes())


@pytest.mark.parametrize("name", ["lens.parquet", "SHA256SUMS"])
def test_every_damage_to_a_gathered_table_is_noticed(store: Store, name: str) -> None:
    whole = read(store.run)
    path = store.run / "records" / name
    wrong, noticed = unnoticed(
        path,
        lambda: read(store.run),
        lambda found: all(found[table].equals(whole[table]) for table in whole.tables),
        seed=1,
        step=7,
    )
    assert wrong == 0
    assert noticed > len(path.read_bytes()) / 7


def test_every_damage_to_a_manifest_is_noticed_or_harmless(store: Store) -> None:
    whole = read_manifest(store.run)
    path = store.run / "manifest.json"
    wrong, noticed = unnoticed(path, lambda: read_manifest(store.run), whole.__eq__, seed=2)
    assert wrong == 0
    # Only spaces and line ends may change.
    assert noticed > 0.7 * len(path.read_bytes())


def test_every_damage_to_a_lens_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "1.npz"
    save_sheet(path, sheet(), "k")

    def same(found: LensSheet) -> bool:
        return np.array_equal(found.top, sheet().top) and found.answer == sheet().answer

    wrong, noticed = unnoticed(path, lambda: load_sheet(path, "k"), same, seed=3, step=3)
    assert wrong == 0
    assert noticed > len(path.read_bytes()) / 3


def test_what_is_damaged_is_cleared_away_and_what_is_whole_is_kept(store: Store) -> None:
    save_sheet(store.run / "lens" / "7.npz", sheet(), store.key)
    save_sheet(store.run / "lens" / "8.npz", sheet(), store.key)
    append(store, "lens", "8-1", [lens(8)])
    parts = store.run / "records" / ".parts"
    broken = [
        parts / "lens" / "8-1.part",
        parts / "skipped" / "lens-7-1.part",
        store.run / "lens" / "8.npz",
    ]
    for path in broken:
        path.write_bytes(path.read_bytes()[:-9])
    assert claim(store) == [str(path) for path in broken]
    assert claim(store) == []
    assert done(store, "lens") == {"7-1"}
    assert done(store, "skipped") == set()
    assert [path.name for path in (store.run / "lens").glob("*.npz")] == ["7.npz"]


def test_a_part_under_another_name_is_not_taken(store: Store) -> None:
    parts = store.run / "records" / ".parts" / "lens"
    (parts / "9-1.part").write_bytes((parts / "7-1.part").read_bytes())
    assert done(store, "lens") == {"7-1"}


@pytest.mark.parametrize("what", ["parts", "tables", "tables alone", "lens file"])
def test_nothing_of_another_run_is_relabelled(store: Store, what: str) -> None:
    """As after the manifest was deleted, or when two runs wrote into one folder."""
    records = store.run / "records"
    if what != "tables":
        for path in records.glob("*"):
            if path.is_file():
                path.unlink()
    if what != "parts":
        for path in [*(records / ".parts").rglob("*.part")]:
            path.unlink()
        for path in (records / ".parts").iterdir():
            path.rmdir()
    if what == "tables alone":
        (records / "lens.parquet").write_bytes(b"of nobody knows whom")
    if what == "lens file":
        save_sheet(store.run / "lens" / "7.npz", sheet(), store.key)
    with pytest.raises(RunError, match=r"another run|nobody knows which run"):
        claim(Store(store.run, "another"))
    if what == "parts":
        for ask in (done, so_far):
            with pytest.raises(RunError, match="another run"):
                ask(Store(store.run, "another"), "lens")
        with pytest.raises(RunError, match="another run"):
            consolidate(Store(store.run, "another"))


def test_a_complete_runs_tables_are_not_made_again_from_fewer_parts(store: Store) -> None:
    (store.run / "records" / ".parts" / "lens" / "7-1.part").unlink()
    gather(store.run)
    assert len(read(store.run)["lens"]) == 2
    write_manifest(store.run, manifest(status="interrupted"))
    gather(store.run)
    assert len(read(store.run)["lens"]) == 0


def test_a_gathered_table_that_is_gone_is_noticed(store: Store) -> None:
    (store.run / "records" / "lens.parquet").unlink()
    with pytest.raises(DamagedError, match="is gone"):
        read(store.run)


def test_a_damaged_table_without_parts_is_not_given_a_new_checksum(store: Store) -> None:
    parts = store.run / "records" / ".parts" / "lens"
    (parts / "7-1.part").unlink()
    parts.rmdir()
    table = store.run / "records" / "lens.parquet"
    table.write_bytes(table.read_bytes()[:-9])
    with pytest.raises(DamagedError, match="is damaged"):
        consolidate(store)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("seconds", "long"), ("counts", {"images": "many"}), ("model", []), ("command", None)],
)
def test_a_manifest_of_wrong_types_is_told_whatever_its_checksum_says(
    store: Store, field: str, wrong: object
) -> None:
    path = store.run / "manifest.json"
    values = json.loads(path.read_text()) | {field: wrong}
    values.pop("checksum")
    text = json.dumps(values, sort_keys=True)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(values | {"checksum": checksum}))
    with pytest.raises(DamagedError, match=field):
        read_manifest(store.run)
