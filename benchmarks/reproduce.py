"""The main job with the engine and the plain way: how many times faster, and the same table?

python -m benchmarks.reproduce [--limit 16]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import polars as pl

from benchmarks import plain

WAYS = ("engine", "plain")


def main() -> None:
    """Run the experiments twice, each in a process of its own, and compare their records."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduce")
    parser.add_argument("--limit", type=int, default=16)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measured(given.way, given.limit, given.out)))
        return
    with tempfile.TemporaryDirectory() as folder:
        seconds = {way: _alone(way, given.limit, Path(folder) / way) for way in WAYS}
        found = {"objects": given.limit, **_same(*(Path(folder) / way for way in WAYS))}
    for part in seconds["plain"]:
        ratio = seconds["plain"][part] / seconds["engine"][part]
        found[part] = {**{way: round(seconds[way][part], 1) for way in WAYS}, "ratio": ratio}
    print(json.dumps(found, indent=1))
    (Path(__file__).parent / "reproduce.json").write_text(json.dumps(found, indent=1) + "\n")


def measured(way: str, limit: int, out: Path) -> dict[str, float]:
    """Seconds that the run takes by the clock and of processor time, imports not counted."""
    from retinoscope.runs import Plan, run
    from retinoscope.runs.progress import Silent

    if way == "plain":
        for name in ("ablation", "knockout"):
            vars(import_module(f"retinoscope.experiments.{name}"))["evaluate"] = plain.evaluate
        for name in ("ablation", "curation", "lens"):
            vars(import_module(f"retinoscope.experiments.{name}"))["generate"] = plain.generate
    clock, processor = time.perf_counter(), time.process_time()
    run(Plan(out=out, limit=limit), Silent())
    return {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}


def _alone(way: str, limit: int, out: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.reproduce", "--way", way]
    command += ["--limit", str(limit), "--out", str(out)]
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
