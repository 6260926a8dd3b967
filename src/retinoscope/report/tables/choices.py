"""What each of the original code's choices of scoring would move, from the same records."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from retinoscope.report.tables.ablation import ablation_table
from retinoscope.report.tables.headline import (
    ablation_headline,
    knockout_headline,
    side_by_side,
)
from retinoscope.report.tables.knockout import knockout_table
from retinoscope.results.protocol import MENDED, SWITCHES, Protocol

BASE, ALL = "mended", "all of these"
"""Names of the columns without any choice of scoring and with all."""


def scoring_choices(ablation: pl.DataFrame, knockout: pl.DataFrame) -> pl.DataFrame:
    """Headline figures of one run's records, scored with each choice alone and with all.

    The objects, token sets and answers are the run's own in every row, whatever its protocol;
    only the scoring differs.

    Args:
        ablation: the run's ablation records.
        knockout: the run's knockout records.

    Returns:
        Rows of `side_by_side`, named BASE, by switch, and ALL.
    """
    names = [switch.name for switch in SWITCHES if switch.scoring]
    protocols = {BASE: MENDED}
    protocols |= {name: replace(MENDED, **{name: True}) for name in names}
    protocols[ALL] = replace(MENDED, **dict.fromkeys(names, True))
    return side_by_side(
        {name: _headline(ablation, knockout, scoring) for name, scoring in protocols.items()}
    )


def _headline(ablation: pl.DataFrame, knockout: pl.DataFrame, protocol: Protocol) -> pl.DataFrame:
    return pl.concat(
        (
            ablation_headline(ablation_table(ablation, protocol)),
            knockout_headline(knockout_table(knockout, protocol)),
        )
    )
