"""Count what each experiment asks of the embedded model for one object: `retinoscope cost`'s work.

`python -m benchmarks.count OBJECTS [EXPERIMENT ...]` writes `src/retinoscope/runs/cost/work.json`,
where other experiments stay as they are. Operations and passes are counted, not timed, so that a
busy machine is no matter. What an experiment does once for all objects is done before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from retinoscope.data import open_data, select, source_of
from retinoscope.data.generated_questions import with_questions
from retinoscope.experiments import settings_for
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.target import representative
from retinoscope.models import Checkpoint, load
from retinoscope.models.vision import shared_vision
from retinoscope.results.experiment import experiments
from retinoscope.results.measured import Store, row_count
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import CurationRecord
from retinoscope.runs.candidates import curated
from retinoscope.runs.cost.shape import shape_of
from retinoscope.runs.cost.work import Work
from retinoscope.runs.mean import mean_dataset, with_mean
from retinoscope.runs.progress import Silent
from retinoscope.runs.units import Measurement, carry_out

OUT = Path(__file__).parents[1] / "src/retinoscope/runs/cost/work.json"


class Counter(TorchDispatchMode):
    """Counts operations, and passes over the decoder's layers, while it is in force."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.layers = checkpoint.parts.layers
        self.operations = self.entered = self.single = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        counted = flop_registry.get(func._overloadpacket)
        if counted is not None:
            self.operations += counted(*args, **(kwargs or {}), out_val=found)
        return found

    def entering(self, _: Any, args: Any, kwargs: Any) -> None:
        """A layer is entered."""
        states = args[0] if args else kwargs["hidden_states"]
        self.entered += 1
        self.single += states.shape[-2] == 1

    def work(self, units: int, vision: float, forward: float) -> Work:
        """What one of so many units takes; attention's own operations are counted nowhere."""
        steps = self.single / len(self.layers) / units
        return Work(
            forwards=round((self.operations / units - vision) / forward, 2),
            passes=round(self.entered / len(self.layers) / units - steps, 2),
            steps=round(steps, 2),
        )


def counted(checkpoint: Checkpoint, do: Callable[[], None]) -> Counter:
    """Do something, and count."""
    counter = Counter(checkpoint)
    hooks = [
        layer.register_forward_pre_hook(counter.entering, with_kwargs=True)
        for layer in checkpoint.parts.layers
    ]
    with counter, shared_vision(checkpoint):
        do()
    for hook in hooks:
        hook.remove()
    return counter


def main(objects: int, names: Sequence[str]) -> None:
    """Count for so many objects, and four times as many candidates."""
    torch.set_num_threads(1)
    settings = settings_for("embedded")
    dataset = open_data("embedded:400")
    chosen = select(dataset, source_of("embedded").filter).candidates
    mean = mean_dataset("embedded", None, 40, None)
    checkpoint, _ = with_mean(load("embedded", device="cpu"), mean, 40, Silent())
    every = {name: experiments()[name] for name in names}
    apart = {
        name: tuple((s, representative(s, 0)) for s in open_data(one.scenes).samples[:objects])
        for name, one in every.items()
        if one.scenes
    }
    candidates = with_questions(dataset, chosen)
    bench = Bench(checkpoint, dataset.categories, candidates, settings, OwnSettings(), apart)
    shape = shape_of("embedded", checkpoint.model.config)
    vision, forward = shape.vision, shape.linear
    kept: list[int] = []

    def look() -> None:
        for place in range(4 * objects):
            record = curated(bench, place)
            if isinstance(record, CurationRecord) and record.kept:
                kept.append(place)

    found = msgspec.json.decode(OUT.read_bytes(), type=dict[str, Work]) if OUT.exists() else {}
    curated(bench, 0)
    found["curation"] = counted(checkpoint, look).work(4 * objects, vision, forward)
    own = {name: one.settings.suited("embedded", settings.protocol) for name, one in every.items()}
    for name, one in every.items():
        places = range(objects) if name in apart else kept[:objects]
        with TemporaryDirectory() as folder:
            store = Store(Path(folder), "count")

            def measure(name: str = name, places: Any = places, store: Store = store) -> None:
                for place in places:
                    carry_out(store, own, bench, Measurement(name, place))

            measure()
            work = counted(checkpoint, measure).work(len(places), vision, forward)
            parts = list(Path(folder).rglob("*.part"))
            found[name] = replace(
                work,
                rows=sum(row_count(store, table) for table in one.records) / len(places),
                part_bytes=sum(part.stat().st_size for part in parts) / len(places),
                parts=len(parts) / len(places),
            )
        print(name, found[name], flush=True)
        OUT.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:] or [*experiments()])
