"""Results as a table: times, and how many times faster than plain hooks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

REFERENCE = "hooks"

NAMES = {
    "retinoscope": "Retinoscope",
    "hand": "by hand",
    "hooks": "plain hooks",
    "nnsight": "nnsight",
    "transformer_lens": "TransformerLens",
    "vlmprobe": "vlmprobe",
    "interpkit": "interpkit",
}


def table(results: dict[str, Any]) -> str:
    """Markdown, one table for each subject, with the errors of what could not run below it."""
    parts = [f"Measured {results['date']} on {results['machine']}; {results['how']}."]
    for subject, found in results["subjects"].items():
        tools = [tool for tool in NAMES if any(tool in row["tools"] for row in found["works"])]
        head = ["", "work", "conditions", *(NAMES[tool] for tool in tools), "bound"]
        lines = [head, ["---"] * len(head), *(_row(row, tools) for row in found["works"])]
        parts.append(f"### {subject}: {found['about']}")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        parts += ["\n".join(_failures(found["works"])), _lines(found["works"])]
        parts.append(_dates(found["works"], results["date"]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    """How much code each row takes, where it was counted."""
    counted = {
        row["key"]: {t: f["lines"] for t, f in row["tools"].items() if "lines" in f} for row in rows
    }
    tools = [tool for tool in NAMES if any(tool in lines for lines in counted.values())]
    said = [
        f"{NAMES[tool]} " + ", ".join(f"({k}) {n[tool]}" for k, n in counted.items() if tool in n)
        for tool in tools
    ]
    return "Lines of its own that run for a row: " + "; ".join(said) + "." if said else ""


def _dates(rows: Iterable[dict[str, Any]], usual: str) -> str:
    """Which rows were measured on another day than the rest."""
    days: dict[str, list[str]] = {}
    for row in rows:
        if row.get("date", usual) != usual:
            days.setdefault(row["date"], []).append(f"({row['key']})")
    return "\n".join(f"Measured {day}: {', '.join(keys)}." for day, keys in days.items())


def _row(row: dict[str, Any], tools: Iterable[str]) -> list[str]:
    base = row["tools"].get(REFERENCE, {}).get("seconds")
    cells = [_cell(row["tools"].get(tool, {}), base, tool) for tool in tools]
    bound = f"{row['bound']:.3g}x" if row["bound"] else ""
    return [f"({row['key']})", row["title"], str(row["conditions"] or ""), *cells, bound]


def _cell(found: dict[str, Any], base: float | None, tool: str) -> str:
    if not found:
        return ""
    if "error" in found:
        return "not offered" if _unoffered(found) else "failed"
    if not found.get("agrees", True):
        return f"wrong ({found['said']})"
    seconds = f"{found['seconds']:.3g} s"
    if found["measured"] != found["conditions"]:
        seconds = f"~{seconds}"
    if found.get("gap"):
        seconds += f", gap {found['gap']:.2%}"
    memory = f", {found['memory'] / 2**20:.0f} MiB" if "memory" in found else ""
    if base is None or tool == REFERENCE:
        return seconds + memory
    return f"{seconds}{memory} (**{base / found['seconds']:.3g}x**)"


def _failures(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [
        f"- {NAMES[tool]} ({row['key']}): {found['error']}"
        for row in rows
        for tool, found in row["tools"].items()
        if "error" in found and found["error"] != "not offered"
    ]


def _unoffered(found: dict[str, Any]) -> bool:
    return found["error"].lower().replace(" ", "").startswith("notoffered")
