"""Loading takes no more memory than the weights and a tenth, and looking not much more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.models import llava_shape
from tests.models.memory import STATUS

pytestmark = pytest.mark.skipif(
    not STATUS.exists(), reason="memory is read from /proc, which Linux alone has"
)

ROOT = Path(__file__).parents[2]


def steps(folder: Path, *dtype: str) -> dict[str, dict[str, Any]]:
    """Each step of `llava_shape.measure` on a model, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.llava_shape", str(folder), *dtype],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )
    print(done.stdout)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {line["step"]: line for line in lines}


def check(found: dict[str, dict[str, Any]], weights: int, spare: float) -> None:
    """Loaded within the weights and a tenth; every condition took effect.

    Weights of the type on disk stay mapped into memory, and come in when they are first used: so
    what the first look brings in counts too.
    """
    bound = 1.1 * weights + spare
    assert found["load"]["taken"] < bound
    assert found["load"]["resident"] < bound
    assert found["load"]["resident"] + found["look"]["resident"] < bound + spare
    assert found["ablation moved"]["least"] > 0
    assert found["knockout moved"]["least"] > 0


def test_a_small_model_is_loaded_within_its_weights_and_a_tenth(tmp_path: Path) -> None:
    weights = llava_shape.write(tmp_path, llava_shape.SMALL)
    found = steps(tmp_path, "bfloat16")
    assert found["dtype"]["name"] == "torch.bfloat16"
    check(found, weights, spare=2**26)


@pytest.mark.huge
def test_a_model_of_7b_is_loaded_and_looked_into(tmp_path: Path) -> None:
    weights = llava_shape.write(tmp_path, llava_shape.LLAVA_7B)
    assert weights == pytest.approx(14.1e9, rel=0.05)
    found = steps(tmp_path)
    assert found["dtype"]["name"] == "torch.bfloat16"
    check(found, weights, spare=2**28)
