"""A lens sheet survives its file, and a broken one is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from retinoscope.errors import DamagedError, RunError
from retinoscope.results.sheet import LensSheet, ObjectOutline, load_sheet, save_sheet


def sheet() -> LensSheet:
    rng = np.random.default_rng(0)
    return LensSheet(
        title="a",
        prompt="What?",
        answer="\ud800 <b>",
        model="m",
        condition="clean",
        image=b"\x89PNG...",
        size=(12, 8),
        boxes=rng.random((6, 4), np.float32),
        cells=np.arange(18, dtype=np.int32).reshape(6, 3),
        vocabulary=("dog", "<script>", "\udcff", "\u202e", "\U0001f600"),
        top=rng.integers(0, 5, (3, 6, 2)).astype(np.int32),
        probabilities=rng.random((3, 6, 2), np.float32),
        entropy=rng.random((3, 6), np.float32),
        tracked=("dog",),
        tracked_log_probability=-rng.random((1, 3, 6), np.float32),
        tracked_rank=rng.integers(0, 9, (1, 3, 6)).astype(np.int32),
        objects=(ObjectOutline("dog", (((0.0, 0.5), (1.0, 2.0), (3.0, 1.0)),), (0, 5)),),
    )


def test_a_sheet_survives_its_file(tmp_path: Path) -> None:
    before = sheet()
    save_sheet(tmp_path / "1.npz", before, "k")
    after = load_sheet(tmp_path / "1.npz", "k")
    for field in fields(LensSheet):
        one, other = getattr(before, field.name), getattr(after, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other


def test_equal_sheets_are_equal_files(tmp_path: Path) -> None:
    one, other = (tmp_path / name / "1.npz" for name in "ab")
    save_sheet(one, sheet(), "k")
    save_sheet(other, sheet(), "k")
    assert one.read_bytes() == other.read_bytes()


def test_numpy_reads_the_archive_as_it_is(tmp_path: Path) -> None:
    save_sheet(tmp_path / "1.npz", sheet(), "k")
    with np.load(tmp_path / "1.npz") as stored:
        np.testing.assert_array_equal(stored["top"], sheet().top)


def test_a_sheet_of_another_run_or_name_is_refused(tmp_path: Path) -> None:
    save_sheet(tmp_path / "1.npz", sheet(), "k")
    with pytest.raises(RunError, match="another run"):
        load_sheet(tmp_path / "1.npz", "other")
    (tmp_path / "1.npz").rename(tmp_path / "2.npz")
    with pytest.raises(DamagedError, match="lens/2"):
        load_sheet(tmp_path / "2.npz", "k")


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="entropy has shape"):
        save_sheet(tmp_path / "1.npz", replace(sheet(), entropy=np.zeros((2, 6), np.float32)), "k")
    with pytest.raises(RunError, match="outside its vocabulary"):
        save_sheet(tmp_path / "1.npz", replace(sheet(), vocabulary=("dog",)), "k")
    with pytest.raises(RunError, match="outside 0 to 5"):
        save_sheet(
            tmp_path / "1.npz", replace(sheet(), objects=(ObjectOutline("x", (), (6,)),)), "k"
        )
    assert not (tmp_path / "1.npz").exists()


@pytest.mark.parametrize("content", [b"", b"nothing like it", b"PK\x03\x04 cut off", b"{}\n{}"])
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.npz").write_bytes(content)
    with pytest.raises(DamagedError, match="Delete it and give the run's command again"):
        load_sheet(tmp_path / "1.npz", "k")
    with pytest.raises(RunError, match="can't be read"):
        load_sheet(tmp_path / "missing.npz", "k")
