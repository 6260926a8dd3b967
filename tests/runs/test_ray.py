"""A run on a Ray cluster is the run in one process, byte for byte, whatever dies on the way.

`RETINOSCOPE_KILLS=20 python -m pytest -m cluster tests/runs/test_ray.py -s` kills more often.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from retinoscope.errors import RunError
from retinoscope.experiments import Settings
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.knockout.settings import KnockoutSettings
from retinoscope.runs import Plan, Silent, run

pytest.importorskip("ray")

pytestmark = [
    pytest.mark.cluster,
    # Ray's own code leaves sockets and files to the garbage collector.
    pytest.mark.filterwarnings("default"),
]

KILLS = int(os.environ.get("RETINOSCOPE_KILLS", "2"))


def plan(out: Path, **changes: Any) -> Plan:
    return Plan(
        out=out,
        data="embedded:12",
        curated=False,
        limit=5,
        mean_count=40,
        sheets=1,
        experiments=("ablation", "lens", "knockout"),
        settings=Settings(buffers=(0, 1), values=("mean",), tasks=("poll",)),
        own={
            "ablation": AblationSettings(sizes=(5,), gradient_nodes=5),
            "knockout": KnockoutSettings(sweeps=("layer",)),
        },
        **changes,
    )


def records(out: Path) -> dict[str, bytes]:
    found = [*(out / "records").glob("*.parquet"), *(out / "lens").glob("*.npz")]
    return {path.name: path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return records(run(plan(tmp_path_factory.mktemp("alone") / "run"), Silent()))


@contextmanager
def cluster_of_three() -> Iterator[Any]:
    """A head, which drives, and two nodes that work; a slow one is not taken for dead."""
    cluster = pytest.importorskip("ray.cluster_utils").Cluster
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # A dead node refuses at once and is given up after a minute, a slow one answers in time.
    patient = {"health_check_failure_threshold": 20, "health_check_timeout_ms": 60_000}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": patient}
    made = cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        made.add_node(num_cpus=1)
    try:
        yield made
    finally:
        made.shutdown()


class Killer(Silent):
    """Kills an actor or a whole node at random moments, from the first stage to the end."""

    def __init__(self, cluster: Any, seed: int, wanted: int) -> None:
        self.cluster, self.drawn, self.wanted = cluster, random.Random(seed), wanted
        self.killed: list[str] = []
        self.owed = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.kill)

    def stage(self, name: str, steps: int) -> None:
        if name == "mean visual token":
            self.thread.start()

    def step(self, done: int) -> None:
        # Ray starts nodes in a process's main thread alone.
        while self.owed:
            self.owed -= 1
            self.cluster.add_node(wait=False, num_cpus=1)

    def kill(self) -> None:
        while len(self.killed) < self.wanted and not self.over.wait(self.drawn.uniform(0.5, 6)):
            if self.drawn.random() < 0.4 and len(self.cluster.worker_nodes) > 1:
                node = self.drawn.choice(sorted(self.cluster.worker_nodes, key=id))
                self.killed.append("node")
                self.cluster.remove_node(node, allow_graceful=False)
                self.owed += 1
            elif actors := workers():
                os.kill(self.drawn.choice(actors), signal.SIGKILL)
                self.killed.append("actor")

    def end(self) -> None:
        self.over.set()
        self.thread.join()


def workers() -> list[int]:
    """Processes of actors that are there."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if name.startswith(b"ray::_Worker"):
                found.append(int(folder.name))
    return sorted(found)


def test_killed_actors_and_nodes_lose_nothing(
    alone: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[str] = []
    for seed in range(4 * KILLS):
        with cluster_of_three() as cluster:
            killer = Killer(cluster, seed, KILLS - len(killed))
            where = {"on": f"ray:{cluster.address}", "workers": None}
            try:
                # The mean is measured by the cluster too, not found where `alone` left it.
                monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache {seed}"))
                out = run(plan(tmp_path / f"{seed}", **where), killer)
            finally:
                killer.end()
        print(f"seed {seed}: killed {killer.killed}")
        assert records(out) == alone
        killed += killer.killed
        if len(killed) >= KILLS:
            return
    raise AssertionError(f"only {len(killed)} kills met a run")


def test_a_cluster_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no Ray cluster"):
        run(plan(tmp_path / "run", on="ray:127.0.0.1:1", workers=1), Silent())
