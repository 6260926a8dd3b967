"""A run folder with many records, made without measuring them: bundles of parts, as a run has them.

Run as a program with what to do and a folder, it does that and prints its peak of memory in bytes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from retinoscope.report.render import render
from retinoscope.results.bundles import packed
from retinoscope.results.claim import claim
from retinoscope.results.manifest import write_manifest
from retinoscope.results.measured import Store, done, row_count
from retinoscope.results.schema import frame
from retinoscope.results.sealed import sealed
from retinoscope.results.store import consolidate
from tests.models.memory import highest
from tests.results.test_store import manifest

OBJECTS = 200
"""In a bundle."""


def store_of(folder: Path) -> Store:
    """The run's store."""
    return Store(folder, manifest().key)


def ablations(number: int, rows: int) -> pl.DataFrame:
    """So many rows of one object, as an ablation writes them."""
    drawn = np.random.default_rng(number)
    tasks = ("describe", "poll", "ask")
    index = np.arange(rows)
    task = [tasks[i % 3] for i in index]
    size = [i // 3 for i in index]
    return pl.DataFrame(
        {
            "image_id": np.full(rows, number),
            "object_id": np.full(rows, number),
            "class_name": ["dog"] * rows,
            "task": task,
            "prompt": [f"Is there a dog in image {number}, {one}?" for one in task],
            "selection": ["none" if one == 0 else "random" for one in size],
            "matched": [""] * rows,
            "size": size,
            "value": ["" if one == 0 else "mean" for one in size],
            "tokens": size,
            "answer": [
                f"There is a dog of the kind {n} in it." for n in drawn.integers(0, 999, rows)
            ],
            "right": drawn.random(rows) < 0.7,
            "probability": drawn.random(rows),
            "margin": drawn.random(rows),
            "right_original": drawn.random(rows) < 0.7,
            "top_probability": drawn.random(rows),
            "indices": [f"{n}-{n + 5}" for n in drawn.integers(0, 570, rows)],
        }
    )


def write(folder: Path, objects: int, rows: int) -> None:
    """A run of so many objects, each with so many ablation records."""
    store = store_of(folder)
    ended = replace(manifest(), status="interrupted")
    write_manifest(folder, ended)
    order = np.random.default_rng(0).permutation(objects)
    for name, begin in enumerate(range(0, objects, OBJECTS)):
        some = order[begin : begin + OBJECTS].tolist()
        for table, parts in _tables(some, rows).items():
            content = sealed(packed(parts), store.key, f"{table}/bundle {name:08d}")
            store.bundles.write(table, f"{name:08d}", content)


def _tables(objects: list[int], rows: int) -> dict[str, dict[str, pl.DataFrame]]:
    nothing = frame("skipped", [])
    return {
        "ablation": {f"{one}-{one}": ablations(one, rows) for one in objects},
        "skipped": {f"ablation-{one}-{one}": nothing for one in objects},
    }


def resume(folder: Path) -> None:
    """What a run does at its start with what is there."""
    store = store_of(folder)
    assert claim(store) == []
    print(len(done(store, "ablation")), row_count(store, "ablation"))


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2])
    if what == "resume":
        resume(where)
    elif what == "consolidate":
        consolidate(store_of(where))
    else:
        render(where)
    print(highest())
