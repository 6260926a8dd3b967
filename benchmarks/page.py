"""The page of the docs: tables, figure and the main job's times."""

from __future__ import annotations

from typing import Any

from benchmarks.table import table

WAYS = {
    "one by one": "a full forward pass for each condition, image features and caches shared",
    "batches": "the same in batches of 32",
    "engine": "Retinoscope in one process",
    "workers": "Retinoscope with a process for each core, their start counted",
}


def page(
    results: dict[str, Any], reproduce: dict[str, Any] | None, cuda: dict[str, Any] | None
) -> str:
    """Markdown, made by `make bench`.

    Args:
        results: of `benchmarks`.
        reproduce: of `benchmarks.reproduce`, if it was run.
        cuda: of `benchmarks --device cuda`, if it was run.
    """
    parts = [
        "# How fast",
        "Made by `make bench`; [benchmarks/README.md](../benchmarks/README.md) says what the "
        "pieces of work are and how they are timed. In brackets: how many times faster than plain "
        "hooks, and in the last column what counting operations predicts (a plain way that wastes "
        "time elsewhere can be beaten by more). Every tool's output is compared with the plain "
        "hooks' before its time counts.",
        table(results).strip(),
        "![Seconds against conditions and against visual tokens](benchmark.svg)",
    ]
    if cuda:
        parts += ["## On a GPU", table(cuda).strip()]
    if reproduce:
        parts += ["## The main job", _main_job(reproduce)]
    return "\n\n".join(parts) + "\n"


def _main_job(found: dict[str, Any]) -> str:
    ways = found["ways"]
    equal = [share for way in ways.values() for key, share in way.items() if key.endswith("equal")]
    same = "every answer equal" if min(equal) == 1 else f"{min(equal):.3%} of the answers equal"
    lines = [
        f"`retinoscope reproduce` on {found['objects']} objects, {found['cores']} cores, "
        f"{found['date']} (`python -m benchmarks.reproduce`); {same} to those of the engine in one "
        "process.",
        "",
        "| way | seconds | times Retinoscope in one process |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {said} | {ways[way]['seconds']} | {ways[way]['times the engine']} |"
        for way, said in WAYS.items()
        if way in ways
    ]
    return "\n".join(lines)
