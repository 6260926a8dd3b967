"""Agreement: does a score's mass rank blocks, and attention layers and groups, as effects do?"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from retinoscope.experiments.flow.records import FORMS, QUERIES
from retinoscope.experiments.flow.tables import ITEM, ORDER, dropped
from retinoscope.report.tables.order import rank
from retinoscope.report.tables.pairing import estimate_columns
from retinoscope.results.statistics import mean


def agreement_table(blocks: pl.DataFrame, cuts: pl.DataFrame) -> pl.DataFrame:
    """Spearman's correlation of mass and measured effect within each item, its mean over items.

    Args:
        blocks: the run's flow_blocks records: a score's mass in each block of 2 x 2 tokens against
            what ablating the block loses.
        cuts: its flow_cuts records: the last position's attention to each group in each layer
            against what the renormalised knockout loses.

    Returns:
        task, over ("blocks", "layers and groups"), score; cells (mean number of cells of an item);
        rho with n, low and high. Items in which one of the two is constant have none.
    """
    squares = dropped(blocks).with_columns(over=pl.lit("blocks"))
    last = dropped(cuts).filter((pl.col("queries") == QUERIES[0]) & (pl.col("form") == FORMS[0]))
    last = last.with_columns(
        over=pl.lit("layers and groups"), score=pl.lit("raw attention"), mass=pl.col("attention")
    )
    columns = [*ITEM, "over", "score", "mass", "drop"]
    both = pl.concat([squares.select(columns), last.select(columns)])
    single: dict[tuple[str, str, str], list[tuple[int, float | None, int]]] = {}
    for key, group in both.group_by([*ITEM, "over", "score"], maintain_order=True):
        image, _, task, over, score = key
        cells = group.drop_nulls("mass")
        rho = spearman(cells["mass"].to_list(), cells["drop"].to_list())
        single.setdefault((str(task), str(over), str(score)), []).append(
            (int(str(image)), rho, cells.height)
        )
    rows: list[dict[str, Any]] = []
    for (task, over, score), found in single.items():
        rows.append(
            {"task": task, "over": over, "score": score}
            | {"cells": float(np.mean([cells for _, _, cells in found]))}
            | estimate_columns(
                "rho", mean([rho for _, rho, _ in found], [image for image, _, _ in found])
            )
        )
    schema: dict[str, Any] = dict.fromkeys(("task", "over", "score"), pl.String)
    schema |= {"cells": pl.Float64, "rho_n": pl.Int64}
    schema |= dict.fromkeys(("rho", "rho_low", "rho_high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema).sort(
        rank("task"), "task", "over", rank("score", ORDER)
    )


def spearman(first: list[float], second: list[float]) -> float | None:
    """Spearman's rank correlation, -1 to 1; None where one of the two does not vary."""
    if len(first) < 3 or len({*first}) < 2 or len({*second}) < 2:
        return None
    found: Any = stats.spearmanr(first, second)
    return float(found.statistic)


def block_map(blocks: pl.DataFrame) -> pl.DataFrame:
    """The first probed item of each task: its blocks, their effect and each score's mass in them.

    Returns:
        task, image_id, object_id, class_name, score, row, column, mass, on_object, drop.
    """
    found = dropped(blocks).sort("image_id", "object_id")
    first = found.group_by("task", maintain_order=True).agg(
        pl.col("image_id").first(), pl.col("object_id").first()
    )
    return found.join(first, on=list(ITEM), how="semi").select(
        *("task", "image_id", "object_id", "class_name", "score"),
        *("row", "column", "mass", "on_object", "drop"),
    )
