"""One tool doing one piece of work, alone in its process: prints seconds and memory as JSON.

Run by `python -m benchmarks`, with the Python of the tool's own environment.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import resource
import time
from pathlib import Path
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
    """Seconds of processor time, scaled to all conditions, and the memory's peak above before."""
    subject = load(given.folder)
    work = works(subject, given.tokens)[given.work]
    tool = importlib.import_module(f"benchmarks.tools.with_{given.tool}").Tool(subject)
    changes = work.changes[: given.count] if given.count else work.changes
    sample = getattr(tool, "sampled", sampled)
    chosen = list(range(len(changes))) if tool.whole else sample(changes, given.sample)
    function = getattr(tool, work.kind.replace(" ", "_"))
    # One full collection takes longer than some works, and falls into whichever it happens to.
    gc.collect()
    gc.freeze()
    before, start = _peak(), time.process_time()
    output, gap = _run(function, work, [changes[index] for index in chosen], given.gap)
    seconds = time.process_time() - start
    memory = _peak() - before
    save_file({"output": output.float().contiguous()}, given.output)
    return {
        "seconds": seconds * (len(changes) / len(chosen) if chosen else 1.0),
        "measured": len(chosen),
        "conditions": len(changes),
        "memory": memory,
        "chosen": chosen,
        "gap": gap,
    }


def _run(
    function: Any, work: Work, changes: list[Change], gap: float
) -> tuple[Tensor, float | None]:
    """What the tool gives, and the completeness gap of gradients."""
    match work.kind:
        case "next token":
            return function(changes), None
        case "captions":
            return function(changes, work.tokens), None
        case "lens":
            return function(LENS_TOP), None
        case "gradients":
            return function(EXPLAINED, gap)


def _peak() -> int:
    """The process's peak of resident memory so far, in bytes (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
