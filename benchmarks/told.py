"""Compare what `retinoscope cost` tells with what runs take here: the table of docs/scale.md.

`python -m benchmarks.told` measures this machine, does some small runs of the embedded model in
this process, on one thread, and prints a table of processor time, which other programs disturb
less than the clock. The time until the data are read is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from retinoscope.data import open_data, select
from retinoscope.experiments import settings_for
from retinoscope.results.store import read
from retinoscope.runs import Plan, run
from retinoscope.runs.cost import Machine, Shape, cost, shape_of, this_machine
from retinoscope.runs.cost.job import sized
from retinoscope.runs.cost.shape import config_of

MEAN_IMAGES = 40


@dataclass(frozen=True)
class Trial:
    """One small run.

    Attributes:
        experiments: what is measured.
        objects: how many.
        curated: whether objects are chosen by what the model names.
    """

    experiments: tuple[str, ...]
    objects: int
    curated: bool = True


TRIALS = (
    Trial(("lens",), 8),
    Trial(("knockout",), 8),
    Trial(("ablation", "lens", "knockout"), 4),
    Trial(("drivers",), 3),
    Trial(("lens", "knockout"), 8, curated=False),
    Trial(("fields",), 3),
)
"""The last had no part in fitting the constants of `runs/cost/estimate.py`."""


@dataclass
class Clock:
    """A progress that adds up the processor time of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    name: str = ""
    begun: float = 0.0

    def stage(self, name: str, steps: int) -> None:
        """The stage before is over."""
        now = time.process_time()
        self.seconds[self.name] = self.seconds.get(self.name, 0.0) + now - self.begun
        self.name, self.begun = name, now

    def step(self, done: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def compared(
    trial: Trial, shape: Shape, machine: Machine, folder: Path
) -> tuple[Mapping[str, float], Mapping[str, float], int]:
    """Seconds by stage, told and taken, and how many objects were looked at."""
    plan = Plan(
        out=folder / "run",
        data="embedded:60",
        limit=trial.objects,
        mean_count=MEAN_IMAGES,
        sheets=0,
        curated=trial.curated,
        experiments=trial.experiments,
        settings=settings_for("embedded"),
    )
    clock = Clock()
    run(plan, clock)
    clock.stage("end", 0)
    looked_at = len(read(plan.out)["curation"]) if trial.curated else trial.objects
    dataset = open_data(plan.data)
    sample, _ = select(dataset, plan.filter).candidates[0]
    job = sized(
        plan,
        looked_at,
        MEAN_IMAGES,
        trial.objects / looked_at,
        trial.objects,
        pixels=sample.width * sample.height,
    )
    stages = cost(job, shape, machine).stages
    told = {stage.name: stage.work for stage in stages}
    return told, {name: clock.seconds[name] for name in told}, looked_at


def main(trials: Sequence[Trial] = TRIALS) -> None:
    """Print the table, and under it each stage."""
    torch.set_num_threads(1)
    config = config_of("embedded")
    shape = shape_of("embedded", config)
    machine = this_machine(config, shape)
    print(f"{machine.flops / 1e9:.0f} GFLOP/s, {1e3 * machine.layer_seconds:.2f} ms for a layer\n")
    print("| run | told | taken | taken / told |\n|---|---|---|---|")
    stages = []
    for trial in trials:
        with TemporaryDirectory() as folder:
            # A mean of its own, so that it is measured.
            os.environ["XDG_CACHE_HOME"] = folder
            told, taken, looked_at = compared(trial, shape, machine, Path(folder))
        names = ", ".join(f"`{name}`" for name in trial.experiments)
        how = f"of {looked_at} looked at" if trial.curated else "without curation"
        all_told, all_taken = sum(told.values()), sum(taken.values())
        title = f"{names}, {trial.objects} objects {how}"
        ratio = all_taken / all_told
        print(f"| {title} | {all_told:.1f} | {all_taken:.1f} | {ratio:.1f} |", flush=True)
        stages += [(title, name, told[name], taken[name]) for name in told]
    print()
    for title, name, one, other in stages:
        print(f"{title}: {name} {one:.2f} told, {other:.2f} taken, {other / one:.2f}")


if __name__ == "__main__":
    main()
