"""A run whose parts are at an fsspec address is the run in its folder, and goes on there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from retinoscope.errors import RunError
from retinoscope.experiments.lens.records import LensRecord
from retinoscope.results.claim import claim
from retinoscope.results.measured import Store, append, done, so_far
from retinoscope.results.store import consolidate, read
from retinoscope.runs import Plan, Silent, run
from tests.runs.test_local import Impatient


def row(image: int) -> LensRecord:
    return LensRecord(image, 1, "dog", "object", 0, 4, 1, 2, 1.0, -1.0, 2.0)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a local S3 server."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    import fsspec

    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("retinas")
    yield "s3://retinas/run"
    server.stop()


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.cluster)])
def address(request: pytest.FixtureRequest) -> str:
    if request.param == "s3":
        return request.getfixturevalue("s3")
    return f"memory://{uuid4()}/run"


@pytest.mark.filterwarnings("default")
def test_parts_at_an_address_are_those_of_a_folder(address: str, tmp_path: Path) -> None:
    here, there = Store(tmp_path / "a", "k"), Store(tmp_path / "b", "k", address)
    for store in (here, there):
        assert done(store, "lens") == set()
        for image in (3, 1, 2):
            append(store, "lens", f"{image}/ü", [row(image)])
        append(store, "lens", "1/ü", [row(1)])
        consolidate(store)
    assert done(there, "lens") == {"1/ü", "2/ü", "3/ü"}
    assert so_far(there, "lens").equals(so_far(here, "lens"))
    tables = [(store.run / "records" / "lens.parquet").read_bytes() for store in (here, there)]
    assert tables[0] == tables[1]
    assert not (there.run / "records" / ".parts").exists()
    with pytest.raises(RunError, match="of another run"):
        done(replace(there, key="other"), "lens")
    there.parts.write("lens", "4", there.parts.read("lens", "1/ü")[:-3])
    assert claim(there) == [there.parts.place("lens", "4")]
    assert done(there, "lens") == {"1/ü", "2/ü", "3/ü"}


def test_a_run_with_its_parts_elsewhere_goes_on_there(tmp_path: Path) -> None:
    def plan(name: str, parts: str | None) -> Plan:
        return Plan(
            tmp_path / name, data="embedded:8", curated=False, limit=3, mean_count=2, sheets=1,
            experiments=("lens",), parts=parts,
        )  # fmt: skip

    address = f"memory://{uuid4()}/run"
    with pytest.raises(KeyboardInterrupt):
        run(plan("there", address), Impatient("lens", 2))
    assert len(done(Store(tmp_path, read(tmp_path / "there").manifest.key, address), "lens")) == 2
    there, here = run(plan("there", address), Silent()), run(plan("here", None), Silent())
    for name in ("lens.parquet", "skipped.parquet"):
        assert (there / "records" / name).read_bytes() == (here / "records" / name).read_bytes()


def test_an_address_without_its_file_system_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="file system is installed"):
        done(Store(tmp_path, "k", "nowhere://bucket/run"), "lens")
