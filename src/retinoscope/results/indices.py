"""Sets of visual tokens in a record: which tokens, as short text."""

from __future__ import annotations

from collections.abc import Iterable


def indices_text(indices: Iterable[int]) -> str:
    """Indices as runs: {3, 4, 5, 9} is "3-5,9"; none is "".

    Args:
        indices: of visual tokens, each at least 0.
    """
    runs: list[list[int]] = []
    for index in sorted({*indices}):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def token_indices(text: str) -> tuple[int, ...]:
    """The indices that `indices_text` wrote, ascending.

    Raises:
        ValueError: the text has another form.
    """
    found: list[int] = []
    for run in text.split(",") if text else ():
        ends = [int(end) for end in run.split("-")]
        found += range(ends[0], ends[-1] + 1)
    return tuple(found)
