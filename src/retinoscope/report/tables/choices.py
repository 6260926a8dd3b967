"""What each of the original code's choices of scoring would move, from the same records."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from retinoscope.report.parts import parts
from retinoscope.report.tables.headline import headline_frame, side_by_side
from retinoscope.results.protocol import CORRECTED, SWITCHES, Protocol
from retinoscope.results.store import Results

BASE, ALL = "corrected", "all of these"
"""Names of the columns without any choice of scoring and with all."""


def scoring_choices(results: Results) -> pl.DataFrame:
    """Headline figures of one run's records, scored with each choice alone and with all.

    The objects, token sets and answers are the run's own in every row, whatever its protocol;
    only the scoring differs.

    Args:
        results: the run.

    Returns:
        Rows of `side_by_side`, named BASE, by switch, and ALL.
    """
    names = [switch.name for switch in SWITCHES if switch.scoring]
    protocols = {BASE: CORRECTED}
    protocols |= {name: replace(CORRECTED, **{name: True}) for name in names}
    protocols[ALL] = replace(CORRECTED, **dict.fromkeys(names, True))
    return side_by_side(
        {name: headline(results, scoring, scored=True) for name, scoring in protocols.items()}
    )


def headline(results: Results, protocol: Protocol, *, scored: bool = False) -> pl.DataFrame:
    """The headline figures of every experiment of a run.

    Args:
        results: the run.
        protocol: how its records are scored.
        scored: only of those experiments that switches of scoring move.
    """
    wanted = [part.report for part in parts(results) if part.report.scored or not scored]
    # Behind an empty frame, for a run whose experiments have none.
    return pl.concat(
        [headline_frame([]), *(report.headline(results, protocol) for report in wanted)]
    )
