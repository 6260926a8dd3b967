"""The main job by the engine and by the plain way: how many times faster, and the same table?

    python -m benchmarks.reproduce [--limit 6]

Ways: `one by one` runs a full forward pass for every condition, `batches` stacks 32 of them,
`engine` is Retinoscope in one process, `workers` with a process for each core, which is the default
for 30 objects and more. All end with the same records, which are compared.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import plain

WAYS = {"engine": 0, "workers": 0, "one by one": 1, "batches": 32}
"""Ways by name, with the rows of a batch of the plain ones."""
ENGINE, WORKERS = "engine", "workers"


def main() -> None:
    """Run the experiments each way, in a process of its own, and compare times and records.

    What is known is written after each way, so that the longest can be left out.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduce")
    parser.add_argument("--limit", type=int, help="objects; default all that the main job takes")
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measured(given.way, given.limit, given.out)))
        return
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = {way: Path(folder) / way for way in WAYS}
        for way, out in runs.items():
            seconds[way] = _alone(way, given.limit, out)
            text = json.dumps(_found(seconds, runs), indent=1)
            (Path(__file__).parent / "reproduce.json").write_text(text + "\n")
            print(text, flush=True)


def _found(seconds: dict[str, float], runs: dict[str, Path]) -> dict[str, Any]:
    """Times and agreement of the ways so far, the engine in one process first."""
    return {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "objects": pl.read_parquet(runs[ENGINE] / "records/ablation.parquet")[
            "object_id"
        ].n_unique(),
        "ways": {
            way: {
                "seconds": round(taken, 1),
                "times the engine": round(taken / seconds[ENGINE], 2),
                **(_same(runs[way], runs[ENGINE]) if way != ENGINE else {}),
            }
            for way, taken in seconds.items()
        },
    }


def measured(way: str, limit: int | None, out: Path) -> float:
    """Seconds by the clock that the run takes, imports not counted."""
    from retinoscope.experiments import settings_for
    from retinoscope.runs import Plan, run
    from retinoscope.runs.progress import Silent

    if WAYS[way]:
        plain.rows = WAYS[way]
        replaced = {
            "ablation.measure": ("answer",),
            "knockout.measure": ("evaluate",),
            "description": ("generate",),
            "lens.sheets": ("generate",),
        }
        for module, names in replaced.items():
            for name in names:
                found = import_module(f"retinoscope.experiments.{module}")
                if name not in vars(found):
                    raise LookupError(f"{module} has no {name} to replace; mend this benchmark.")
                setattr(found, name, getattr(plain, name))
    workers = (os.cpu_count() or 1) if way == WORKERS else 1
    begun = time.perf_counter()
    settings = settings_for("embedded")
    run(Plan(out=out, limit=limit, workers=workers, settings=settings), Silent())
    return time.perf_counter() - begun


def _alone(way: str, limit: int | None, out: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.reproduce", "--way", way, "--out", str(out)]
    command += ["--limit", str(limit)] if limit else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    return json.loads(done.stdout.strip().splitlines()[-1])


def _same(first: Path, second: Path) -> dict[str, float]:
    """How far the records of two runs agree."""
    found: dict[str, float] = {}
    for name in ("ablation", "knockout"):
        files = (run / "records" / f"{name}.parquet" for run in (first, second))
        mine, other = map(pl.read_parquet, files)
        found[f"{name} rows"] = len(mine)
        found[f"{name} answers equal"] = float((mine["right"] == other["right"]).mean())
        off = (mine["probability"] - other["probability"]).abs().max()
        found[f"{name} probabilities differ by"] = float(off)
    return found


if __name__ == "__main__":
    main()
