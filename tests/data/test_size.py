"""COCO's training split is indexed within 1 GB: a bound of memory, never of time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data import large_coco

ROOT = Path(__file__).parents[2]


def indexed(folder: Path) -> list[int]:
    """What `large_coco` prints of a folder in a process of its own: counts, then its peak."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.data.large_coco", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )
    print(done.stdout)
    return [int(number) for number in done.stdout.split()]


def test_memory_holds_the_index_and_no_second_copy_of_the_file(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    large_coco.write(nothing, images=1000, annotations=2000)
    some = tmp_path / "some"
    size = large_coco.write(some, images=7_000, annotations=50_000).stat().st_size
    before, (*counts, _, peak) = indexed(nothing)[-1], indexed(some)
    assert counts == [7_000, 50_000]
    # The outlines, two thirds of the file, are kept as they stand there; the objects take as much
    # again. A second copy would make it more than three.
    assert peak - before < 2.7 * size


@pytest.mark.size
def test_the_size_of_cocos_training_split_is_indexed_within_1_gb(tmp_path: Path) -> None:
    large_coco.write(tmp_path, images=118_000, annotations=860_000)
    *counts, kept, peak = indexed(tmp_path)
    assert counts == [118_000, 860_000]
    assert kept > 1000
    assert peak < 1e9
