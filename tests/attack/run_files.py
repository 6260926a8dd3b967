"""Files of a run folder that are attacked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from retinoscope.errors import DamagedError
from retinoscope.results.manifest import check_same, read_manifest, write_manifest
from retinoscope.results.measured import Store, append, so_far
from retinoscope.results.sheet import load_sheet, save_sheet
from retinoscope.results.store import consolidate, read
from tests.attack.target import Target
from tests.results.test_sheet import sheet
from tests.results.test_store import CONFIGURATION, lens, manifest, skipped


def _store(folder: Path) -> Store:
    store = Store(folder / "run", manifest().key)
    write_manifest(store.run, manifest(status="complete"))
    append(store, "lens", "7-1", [lens(7, rank) for rank in (1.0, 2.5)])
    append(store, "skipped", "lens-7-1", [skipped(7)])
    consolidate(store)
    return store


def manifests(folder: Path) -> Target:
    run, before = _store(folder).run, manifest(status="complete")
    place = run / "manifest.json"

    def look(content: bytes) -> None:
        place.write_bytes(content)
        assert read_manifest(run) == before
        check_same(run, CONFIGURATION)

    return Target([json.loads(place.read_text()), place.read_bytes()], look)


def parts(folder: Path) -> Target:
    store = _store(folder)
    place, before = store.run / "records/.parts/lens/7-1.part", so_far(store, "lens")

    def look(content: bytes) -> None:
        place.write_bytes(content)
        found = so_far(store, "lens")
        if found.is_empty():
            raise DamagedError("left out, so that it is measured anew")
        assert found.equals(before)

    return Target([place.read_bytes()], look)


def records(folder: Path) -> Target:
    store = _store(folder)
    before = read(store.run)["lens"]
    files = {name: store.run / "records" / name for name in ("lens.parquet", "SHA256SUMS")}
    known = {name: path.read_bytes() for name, path in files.items()}

    def look(content: bytes) -> None:
        name = "SHA256SUMS" if content[:2] == b"# " else "lens.parquet"
        files[name].write_bytes(content)
        try:
            assert read(store.run)["lens"].equals(before)
        finally:
            files[name].write_bytes(known[name])

    return Target([*known.values()], look)


def sheets(folder: Path) -> Target:
    place = folder / "1.npz"
    save_sheet(place, sheet(), "k")

    def look(content: bytes) -> None:
        place.write_bytes(content)
        found = load_sheet(place, "k")
        assert np.array_equal(found.top, sheet().top) and found.answer == sheet().answer

    return Target([place.read_bytes()], look)
