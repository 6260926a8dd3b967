"""Extraction, judged."""

from __future__ import annotations

import polars as pl

from retinoscope.report.verdict import (
    LEVEL,
    NOT_MEASURED,
    Check,
    Row,
    TooFew,
    Verdict,
    all_met,
    one_row,
    share,
)
from retinoscope.report.wording import probability
from retinoscope.results.statistics import fewest_pairs


def extraction(knockout: pl.DataFrame, against_row: pl.DataFrame) -> Verdict:
    """Does the last position read the object's tokens in the middle to late layers?

    Args:
        knockout: the knockout table.
        against_row: `compare_knockouts` of object+1 -> last position with all but last row ->
            last row.
    """
    windows = ("mid-late", "late")
    tests = against_row.filter(pl.col("window").is_in(windows))
    # One lucky window or task must not make the verdict: the level is shared among the tests.
    level = LEVEL / max(1, tests.height)
    needed = fewest_pairs(level)
    stronger = (
        "in mid-late or late layers, knocking out object +1 from the last position loses more "
        f"than knocking out the other visual tokens from the last visual row in the same layers "
        f"(McNemar p < .05 shared by the {tests.height} comparisons made)"
    )
    later = "and at least as much as knocking out object +1 from the last position in early layers"
    checks = [Check(stronger, NOT_MEASURED, None), Check(later, NOT_MEASURED, None)]
    if tests.height:
        # Where the test can't pass, the largest difference is chance: it is the last to choose.
        best = tests.with_columns(
            enough=pl.col("pairs") >= needed,
            lead=(pl.col("only_first_wrong") - pl.col("only_second_wrong")) / pl.col("pairs"),
        ).sort("enough", "lead", "p", descending=[True, True, False])
        chosen = best.row(0, named=True)
        where = {"task": chosen["task"], "window": chosen["window"]}
        first, second = (_row(knockout, edges, **where) for edges in QUOTED)
        found = (
            f"{where['task']}, {where['window']}: {share(first)} against {share(second)}, "
            f"p {probability(chosen['p'])}"
        )
        passed = chosen["lead"] > 0 and chosen["p"] < level
        checks[0] = Check(stronger, found, passed if chosen["enough"] else TooFew(needed))
        early = _row(knockout, QUOTED[0], task=chosen["task"], window="early")
        if early is not None and first is not None and early["n"]:
            checks[1] = Check(
                later,
                f"{share(first)} against {share(early)} in early layers",
                first["decrease"] >= early["decrease"],
            )
    return Verdict(
        "Extraction",
        "The last position reads the object's tokens directly, in the middle to late layers.",
        "Held if both conditions are met in the task and window with the largest difference, of "
        "those with objects enough for such a p.",
        all_met(checks),
        tuple(checks),
    )


QUOTED = (("object+1", "last position"), ("all but last row", "last row"))


def _row(knockout: pl.DataFrame, edges: tuple[str, str], **where: str) -> Row | None:
    return one_row(knockout, group=edges[0], target=edges[1], **where)
