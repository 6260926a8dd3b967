"""One tool doing one piece of work, alone in its process: prints seconds and memory as JSON.

Run by `python -m benchmarks`, with the Python of the tool's own environment.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.subject import load
from benchmarks.work import EXPLAINED, LENS_TOP, Change, Work, sampled, works


def main() -> None:
    """Measure, and print one line of JSON; an error of the tool is a result too."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("work")
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gap", type=float, default=0.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--lines", action="store_true", help="count the lines that run")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    transformers.logging.set_verbosity_error()
    try:
        found = measured(given)
    except Exception as error:  # whatever a tool fails with is what the table says
        text = str(error).strip().splitlines()
        found = {"error": f"{type(error).__name__}: {text[0][:160] if text else ''}"}
    print("\n" + json.dumps(found))


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds, scaled to all conditions; and what else is measured of a work.

    Of processor time; on a GPU of wall time, after a few conditions that warm it up.
    """
    subject = load(given.folder, given.device)
    work = works(subject, given.tokens)[given.work]
    module = importlib.import_module(f"benchmarks.tools.with_{given.tool}")
    if given.device != "cpu" and given.tool != "retinoscope":
        # These tools make their masks and indices on whichever device is the default one.
        torch.set_default_device(given.device)
    tool = module.Tool(subject)
    changes = work.changes[: given.count] if given.count else work.changes
    sample = getattr(tool, "sampled", sampled)
    chosen = list(range(len(changes))) if tool.whole else sample(changes, given.sample)
    # One full collection takes longer than some works, and falls into whichever it happens to.
    gc.collect()
    gc.freeze()
    if given.device != "cpu":
        few = replace(work, tokens=min(work.tokens, 2))
        _run(module.Tool(subject), few, list(changes[:2]), given.gap)
    start = _now(given.device)
    output, gap = _run(tool, work, [changes[index] for index in chosen], given.gap)
    seconds = _now(given.device) - start
    save_file({"output": output.float().cpu().contiguous()}, given.output)
    found = {
        "seconds": seconds * (len(changes) / len(chosen) if chosen else 1.0),
        "measured": len(chosen),
        "conditions": len(changes),
        "chosen": chosen,
        "gap": gap,
    }
    if work.kind == "lens":
        found["memory"] = _allocated(lambda: _run(tool, work, [], given.gap), given.device)
    if given.lines:
        few = replace(work, tokens=min(work.tokens, 2))
        fresh = module.Tool(subject)
        found["lines"] = _lines(
            str(module.__file__), lambda: _run(fresh, few, list(changes[:2]), given.gap)
        )
    return found


def _run(tool: Any, work: Work, changes: list[Change], gap: float) -> tuple[Tensor, float | None]:
    """What the tool gives, and the completeness gap of gradients."""
    function = getattr(tool, work.kind.replace(" ", "_"))
    match work.kind:
        case "next token":
            return function(changes), None
        case "captions":
            return function(changes, work.tokens), None
        case "lens":
            return function(LENS_TOP), None
        case "gradients":
            return function(EXPLAINED, gap)


def _now(device: str) -> float:
    """Seconds on the clock of a device."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _allocated(run: Callable[[], Any], device: str) -> int:
    """The most bytes that are allocated at once while something runs, above what was before."""
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() - before
    import memray

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "allocations"
        with memray.Tracker(file):
            run()
        return memray.FileReader(file).metadata.peak_memory


def _lines(file: str, run: Callable[[], Any]) -> int:
    """How many lines of a file run."""
    seen: set[int] = set()

    def within(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            seen.add(frame.f_lineno)
        return within

    def called(frame: FrameType, _: str, __: Any) -> Any:
        return within if frame.f_code.co_filename == file else None

    sys.settrace(called)
    try:
        run()
    finally:
        sys.settrace(None)
    return len(seen)


if __name__ == "__main__":
    main()
