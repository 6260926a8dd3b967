"""Measure every tool on every piece of work, each alone in its process, and write the table.

    python -m benchmarks [--quick] [--tools retinoscope hooks ...] [--works a b ...]
        [--subjects random ...] [--device cuda]

Tools of others run in their own environments, which `benchmarks/setup` makes; where a tool has
none, the table says so.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.bounds import bound
from benchmarks.compare import agreement
from benchmarks.figure import draw
from benchmarks.page import page
from benchmarks.subject import EMBEDDED, ONLY, load, make
from benchmarks.table import NAMES, REFERENCE, table
from benchmarks.work import works

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".bench"
OURS = ("retinoscope", "hand", REFERENCE)
"""Tools that run in this very environment."""
SUBJECTS = ["random", "heads", EMBEDDED]
"""Models that are measured, but for quick results."""
LACKING: dict[str, tuple[str, ...]] = {
    "nnsight": ("captions", "gradients"),
    "transformer_lens": ("captions", "gradients"),
    "vlmprobe": ("captions", "lens", "gradients"),
    "interpkit": ("captions", "lens", "gradients"),
}
"""Kinds of work that a tool of others offers nothing for."""


def main() -> None:
    """Measure, print the table, and write results, page and figure.

    Full results go to `results.json` (of a GPU to `cuda.json`) and into the docs, quick ones to
    `.bench/quick`.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="the small model, fewer samples")
    parser.add_argument("--tools", nargs="*", default=list(NAMES), choices=list(NAMES))
    parser.add_argument("--subjects", nargs="*", default=SUBJECTS, choices=SUBJECTS)
    parser.add_argument("--works", nargs="*", default=None, help="these alone; others are kept")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    given = parser.parse_args()
    some = given.works is not None
    given.works = given.works or [*"abcdefghijk", *([] if given.quick else ["g2"])]
    names = ["small"] if given.quick else given.subjects
    results = (_known(given) if some and given.device == "cpu" else {}) or {
        "date": datetime.date.today().isoformat(),
        "machine": _machine(given),
        "how": f"seconds of {'processor' if given.device == 'cpu' else 'wall'} time, the clean run "
        "included; ~ scaled from a sample; outputs compared with the plain hooks'",
        "subjects": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            folder = Path(scratch) / name
            make(name, folder)
            found = _subject(folder, given)
            found["works"] = _merged(results["subjects"].get(name), found["works"])
            results["subjects"][name] = found
            _write(results, given)
        if {"a", "b"} <= set(given.works) and given.device == "cpu":
            results["sweeps"] = _sweeps(Path(scratch), given)
    _write(results, given)
    print(table(results))


def _known(given: argparse.Namespace) -> dict[str, Any]:
    """What was measured before, where there is any."""
    return _read((ENVIRONMENTS / "quick" if given.quick else HERE) / "results.json") or {}


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def _merged(before: dict[str, Any] | None, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows measured now, and those that were not measured again, by letter."""
    today = datetime.date.today().isoformat()
    known = {row["key"]: row for row in (before["works"] if before else [])}
    known |= {row["key"]: {**row, "date": today} for row in rows}
    return [known[key] for key in sorted(known)]


def _write(results: dict[str, Any], given: argparse.Namespace) -> None:
    quick = given.quick
    data, docs = (ENVIRONMENTS / "quick",) * 2 if quick else (HERE, HERE.parent / "docs")
    data.mkdir(parents=True, exist_ok=True)
    name = "results.json" if given.device == "cpu" else "cuda.json"
    (data / name).write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    results = results if given.device == "cpu" else _known(given)
    if not results:
        return
    made = page(results, _read(HERE / "reproduce.json"), _read(data / "cuda.json"))
    (docs / "benchmark.md").write_text(made, "utf-8")
    if "sweeps" in results:
        draw(results["sweeps"], docs / "benchmark.svg")


def _subject(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    subject = load(folder)
    text = subject.model.config.text_config
    rows = []
    for key, work in works(subject, _tokens(given)).items():
        if key not in given.works or key not in ONLY.get(folder.name, key):
            continue
        tools: dict[str, Any] = {}
        for tool in _ordered(given.tools):
            gap = work.gap or tools.get(REFERENCE, {}).get("gap") or 0.0
            if work.kind in LACKING.get(tool, ()):
                tools[tool] = {"error": "not offered"}
            else:
                tools[tool] = _measure(tool, key, folder, given, gap=gap)
        base = tools.get(REFERENCE, {"error": "not measured"})
        for tool, found in tools.items():
            if "error" not in found and "error" not in base:
                mine, other = _output(folder, tool, key), _output(folder, REFERENCE, key)
                found |= agreement(work.kind, mine, found["chosen"], other, base["chosen"])
        limit = bound(subject.model.config, subject.length, work)
        row = {"key": key, "title": work.title, "conditions": len(work.changes), "bound": limit}
        rows.append({**row, "tools": tools})
    about = (
        f"hidden {text.hidden_size}, {text.num_hidden_layers} layers of "
        f"{text.num_attention_heads} heads, {len(subject.visual)} visual "
        f"+ {subject.length - len(subject.visual)} text tokens, vocabulary {text.vocab_size}"
    )
    return {"about": about, "works": rows}


def _measure(
    tool: str,
    key: str,
    folder: Path,
    given: argparse.Namespace,
    count: int = 0,
    gap: float = 0.0,
) -> dict[str, Any]:
    """One process; what it can't do is its error."""
    python = Path(sys.executable) if tool in OURS else ENVIRONMENTS / tool / "bin" / "python"
    if not python.exists():
        return {"error": f"no environment; run benchmarks/setup {tool}"}
    options = {
        "threads": given.threads,
        "sample": 8 if given.quick else 10,
        "tokens": _tokens(given),
        "count": count,
        "gap": gap,
        "device": given.device,
    }
    command = [str(python), "-m", "benchmarks.measure", tool, key, str(folder)]
    command += [str(_output(folder, tool, key))]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command += ["--lines"] if tool in OURS else []
    environment = os.environ | {"OMP_NUM_THREADS": str(given.threads), "HF_HUB_OFFLINE": "1"}
    print(f"{folder.name} ({key}) {NAMES[tool]}", file=sys.stderr, flush=True)
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=HERE.parent, env=environment, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines()
        return {"error": said[-1][:160] if said else f"ended with {done.returncode}"}
    return json.loads(lines[-1])


def _sweeps(scratch: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Knockouts into the last position: more conditions, and larger images."""
    name = "small" if given.quick else "random"
    sides = (12,) if given.quick else (6, 12, 18, 24)
    counts = (1, 40) if given.quick else (1, 10, 40, 160, 640)
    found: dict[str, dict[str, dict[int, float]]] = {"conditions": {}, "visual tokens": {}}
    for tool in {"retinoscope", REFERENCE} & set(given.tools):
        for count in counts:
            one = _measure(tool, "b", scratch / name, given, count)
            found["conditions"].setdefault(tool, {})[count] = one["seconds"]
        for side in sides:
            folder = scratch / f"{name} {side}"
            if not folder.exists():
                make(name, folder, side)
            one = _measure(tool, "a", folder, given)
            found["visual tokens"].setdefault(tool, {})[side**2] = one["seconds"]
    return found


def _output(folder: Path, tool: str, key: str) -> Path:
    return folder / f"{tool}.{key}.safetensors"


def _tokens(given: argparse.Namespace) -> int:
    return 20 if given.quick else 60


def _ordered(tools: list[str]) -> list[str]:
    return sorted(tools, key=lambda tool: tool != REFERENCE)


def _machine(given: argparse.Namespace) -> str:
    if given.device == "cpu":
        return f"{_processor()}, {given.threads} thread(s)"
    return f"one {torch.cuda.get_device_name()}"


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    for line in known.read_text().splitlines() if known.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
