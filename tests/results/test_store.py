"""The store keeps every record once, whatever the order and the interruptions."""

from __future__ import annotations

import io
import resource
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retinoscope.errors import RunError
from retinoscope.experiments.knockout.records import KnockoutRecord
from retinoscope.experiments.lens.records import LensRecord
from retinoscope.results.manifest import (
    Manifest,
    ModelIdentity,
    check_same,
    configuration_key,
    installed_versions,
    read_manifest,
    this_machine,
    write_manifest,
)
from retinoscope.results.measured import Store, append, done
from retinoscope.results.records import SkippedRecord, tables
from retinoscope.results.schema import frame, schema
from retinoscope.results.sealed import write_sealed
from retinoscope.results.store import consolidate, read

CONFIGURATION = {"data": {"count": 3, "spec": "embedded"}, "tasks": ["poll"]}


def manifest(**changes: object) -> Manifest:
    plain = Manifest(
        command="retinoscope reproduce",
        name="a",
        configuration=CONFIGURATION,
        key=configuration_key(CONFIGURATION),
        model=ModelIdentity("embedded", "1", {"model.safetensors": "ab" * 32}),
        data={"spec": "embedded"},
        seeds={"random": 0},
        versions=installed_versions(),
        machine=this_machine(),
        started="2026-01-01T00:00:00+00:00",
        finished="",
        seconds=1.5,
        counts={"images": 3},
        skipped={},
        status="running",
    )
    return replace(plain, **changes)


def skipped(number: int, reason: str = "too small") -> SkippedRecord:
    return SkippedRecord("data", number, -1, "", reason)


def lens(number: int, rank: float = 1.0) -> LensRecord:
    return LensRecord(number, 1, "dog", "object", 0, 4, 1, 2, rank, -1.0, 2.0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_manifest(tmp_path / "run", manifest())
    return tmp_path / "run"


@pytest.fixture
def store(run: Path) -> Store:
    return Store(run, manifest().key)


@settings(max_examples=15)
@given(order=st.permutations(range(5)), redone=st.sets(st.integers(0, 4)))
def test_order_and_repetition_of_parts_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], redone: set[int]
) -> None:
    contents = []
    for sequence in (list(range(5)), [*order, *sorted(redone)]):
        folder = tmp_path_factory.mktemp("run")
        for number in sequence:
            append(
                Store(folder, "k"),
                "skipped",
                f"{number}",
                [skipped(number), skipped(number, "empty")],
            )
        consolidate(Store(folder, "k"))
        contents.append((folder / "records" / "skipped.parquet").read_bytes())
    assert contents[0] == contents[1]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
@settings(max_examples=25)
def test_any_text_can_be_a_key(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    store = Store(tmp_path_factory.mktemp("run"), "k")
    append(store, "skipped", key, [])
    assert done(store, "skipped") == {key}


def test_an_empty_table_has_its_columns_and_types(run: Path, store: Store) -> None:
    append(store, "knockout", "none", [])
    consolidate(store)
    results = read(run)
    for table in tables():
        assert results[table].height == 0
        assert results[table].schema == pl.Schema(schema(table))
    assert results["knockout"].schema["probability"] == pl.Float64


@pytest.mark.parametrize("keep", [0, 10, -20])
def test_a_broken_part_is_done_again_and_never_taken_for_whole(
    run: Path, store: Store, keep: int
) -> None:
    append(store, "skipped", "1", [skipped(1)])
    append(store, "skipped", "2", [skipped(2)])
    part = run / "records" / ".parts" / "skipped" / "2.part"
    part.write_bytes(part.read_bytes()[:keep])
    assert done(store, "skipped") == {"1"}
    with pytest.raises(RunError, match="damaged"):
        consolidate(store)
    append(store, "skipped", "2", [skipped(2)])
    consolidate(store)
    assert read(run)["skipped"]["image_id"].to_list() == [1, 2]


def test_an_interrupted_write_leaves_nothing(run: Path, store: Store) -> None:
    with pytest.raises(TypeError, match="KnockoutRecord"):
        append(store, "knockout", "1", [skipped(1)])
    assert done(store, "knockout") == set()
    assert list((run / "records" / ".parts").rglob("*.part")) == []
    assert list(run.rglob(".writing-*")) == []


def test_gathered_tables_outlive_their_parts(run: Path, store: Store) -> None:
    append(store, "skipped", "1", [skipped(1)])
    consolidate(store)
    part = run / "records" / ".parts" / "skipped" / "1.part"
    part.unlink()
    part.parent.rmdir()
    consolidate(store)
    assert read(run)["skipped"].height == 1


def test_a_part_of_another_version_is_refused(run: Path, store: Store) -> None:
    append(store, "skipped", "1", [skipped(1)])
    path, content = run / "records" / ".parts" / "skipped" / "1.part", io.BytesIO()
    pl.DataFrame({"image_id": [1]}).write_parquet(content)
    write_sealed(path, content.getvalue(), store.key, "skipped/1")
    with pytest.raises(RunError, match="other columns"):
        consolidate(store)


def test_unwritable_folder_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="can't write"):
        append(Store(tmp_path / "file", "k"), "skipped", "1", [])
    with pytest.raises(RunError, match="can't write"):
        write_manifest(tmp_path / "file", manifest())


def test_broken_text_and_nan_are_storable() -> None:
    rows = frame("skipped", [skipped(1, "a\ud800b"), skipped(2, "\ud83d\ude00")])
    assert rows["reason"].to_list() == ["a\ufffdb", "\U0001f600"]
    assert frame("lens", [lens(1, float("nan"))])["rank"].to_list() == [None]


def test_values_survive(run: Path, store: Store) -> None:
    record = KnockoutRecord(
        1,
        2,
        "dog",
        "ask",
        "What?",
        "object",
        "last position",
        "all",
        0,
        7,
        5,
        5,
        "cat",
        False,
        None,
        0.25,
    )
    append(store, "knockout", "1", [record])
    consolidate(store)
    assert [KnockoutRecord(**row) for row in read(run)["knockout"].to_dicts()] == [record]


def test_a_run_prints_in_a_line_and_an_unknown_table_is_named(run: Path, store: Store) -> None:
    append(store, "knockout", "a", [])
    consolidate(store)
    results = read(run)
    assert len(repr(results)) < 200 and str(run) in repr(results)
    for ask in (results.__getitem__, results.records):
        with pytest.raises(RunError, match=r"no table 'knokout'.*ablation"):
            ask("knokout")


def test_reading_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        read(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        read(tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": "a"}')
    with pytest.raises(RunError, match="lacks checksum, command"):
        read(tmp_path)


def test_manifest_survives(run: Path, store: Store) -> None:
    assert read_manifest(run) == manifest()
    with pytest.raises(ValueError, match="status"):
        write_manifest(run, manifest(status="half"))


def test_the_key_ignores_order_and_sees_every_value() -> None:
    assert configuration_key({"a": 1, "b": 2}) == configuration_key({"b": 2, "a": 1})
    assert configuration_key({"a": 1}) != configuration_key({"a": 2})


def test_another_configuration_is_refused_by_name(run: Path, store: Store, tmp_path: Path) -> None:
    check_same(run, CONFIGURATION)
    check_same(tmp_path / "new", CONFIGURATION)
    other = {"data": {"count": 4, "spec": "embedded"}, "tasks": ["poll"], "extra": True}
    with pytest.raises(RunError) as caught:
        check_same(run, other)
    assert "data.count (there 3, now 4)" in str(caught.value)
    assert "extra (there absent, now true)" in str(caught.value)
    assert "data.spec" not in str(caught.value)


def test_pandas_frames_hold_the_same(run: Path, store: Store) -> None:
    pandas = pytest.importorskip("pandas")
    append(store, "skipped", "1", [skipped(1)])
    consolidate(store)
    table = read(run).to_pandas()["skipped"]
    assert isinstance(table, pandas.DataFrame)
    assert table["reason"].tolist() == ["too small"]


def test_checksums_do_not_depend_on_what_an_earlier_sitting_gathered(tmp_path: Path) -> None:
    whole, cut = Store(tmp_path / "whole", "k"), Store(tmp_path / "cut", "k")
    consolidate(cut)
    for store in (whole, cut):
        append(store, "lens", "7-1", [lens(7)])
        consolidate(store)
    sums = [(store.run / "records" / "SHA256SUMS").read_bytes() for store in (whole, cut)]
    assert sums[0] == sums[1]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit of a file's size here")
def test_a_disk_that_is_full_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    """A limit of a file's size ends a write in its middle, as a full disk does."""
    store = Store(tmp_path / "run", "k")
    append(store, "lens", "7-1", [lens(7)])
    consolidate(store)
    before = {path: path.read_bytes() for path in store.run.rglob("*") if path.is_file()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        for write in (
            partial(append, store, "lens", "8-1", [lens(8)]),
            partial(consolidate, store),
        ):
            with pytest.raises(RunError, match="free space"):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert {path: path.read_bytes() for path in store.run.rglob("*") if path.is_file()} == before
