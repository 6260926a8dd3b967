"""Numbers as text. What was not measured is a dash."""

from __future__ import annotations

import math

DASH = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """0.718 as "71.8 %"."""
    if value is None or math.isnan(value):
        return DASH
    return f"{_rounded(100 * value, digits)} %"


def number(value: float | None, digits: int = 1) -> str:
    """A number with so many decimals."""
    if value is None or math.isnan(value):
        return DASH
    return _rounded(value, digits)


def interval(
    low: float | None, high: float | None, *, scale: float = 100.0, digits: int = 1
) -> str:
    """An interval without units, "68.0 to 75.4"; "" where there is none."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"{_rounded(scale * low, digits)} to {_rounded(scale * high, digits)}"


def probability(p: float | None) -> str:
    """A p value: "< .001" or three decimals."""
    if p is None or math.isnan(p):
        return DASH
    if p < 0.001:
        return "< .001"
    return f"{min(p, 1.0):.3f}".removeprefix("0")


def chance(task: str, class_name: str) -> str:
    """What a record's probability is the probability of: "P(yes)", "P(no)", "P(dog)".

    Always of the right answer: for "ask" and "describe" of the word's first token, plural and
    synonyms counted in.
    """
    return f"P({ {'poll': 'yes', 'poll-absent': 'no'}.get(task, class_name) })"


def count(value: int | None) -> str:
    """A whole number with thin spaces between thousands."""
    return DASH if value is None else f"{value:,}".replace(",", "\u202f")


def readable(selection: str) -> str:
    """A selection's name as it is read: "object +1" for "object+1"."""
    return selection.replace("object+", "object +")


def duration(seconds: float) -> str:
    """Seconds as "45 s", "7 min 05 s" or "2 h 03 min", with spaces that don't break."""
    whole = round(seconds)
    if whole < 60:
        text = f"{whole} s"
    elif whole < 3600:
        text = f"{whole // 60} min {whole % 60:02d} s"
    else:
        text = f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return text.replace(" ", "\u00a0")


def _rounded(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    # "-0.0" is nothing a reader should have to think about.
    bare = text.removeprefix("-")
    return (bare if not float(text) else text).replace("-", "\u2212")
