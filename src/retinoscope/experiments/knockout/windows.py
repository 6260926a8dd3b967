"""Windows of layers for knockouts: the paper's for 32 layers, scaled by depth."""

from __future__ import annotations

from retinoscope.errors import InterventionError

PAPER_DEPTH = 32

PAPER_WINDOWS: dict[str, tuple[int, int]] = {
    "early": (0, 9),
    "early-mid": (5, 14),
    "mid": (11, 20),
    "mid-late": (15, 24),
    "late": (21, 31),
    "all": (0, 31),
}
"""First and last layer of each window in a model of 32 layers (paper, section 5). Layer 10 is in
none of early, mid and late."""


def windows(depth: int) -> dict[str, range]:
    """Each window's layers in a model of some depth.

    A window's edges are kept at the same share of the depth, rounded to whole layers, and every
    window has at least one layer; 32 layers give the paper's own windows.

    Raises:
        InterventionError: the model has fewer than two layers.
    """
    if depth < 2:
        raise InterventionError(
            f"Windows of layers need a model with at least two; this one has {depth}."
        )
    found: dict[str, range] = {}
    for name, (first, last) in PAPER_WINDOWS.items():
        start = min(round(first * depth / PAPER_DEPTH), depth - 1)
        stop = max(start + 1, min(depth, round((last + 1) * depth / PAPER_DEPTH)))
        found[name] = range(start, stop)
    return found
