"""The lens tables (paper, section 4): how much of an object names it, layer by layer."""

from __future__ import annotations

from typing import Any

import polars as pl

from retinoscope.report.tables.pairing import interval_columns
from retinoscope.results.statistics import Estimate, mean, pooled_share

MEASURES = ("strict", "lenient")
"""strict: the argmax is the class word's first token; lenient: a piece, plural or synonym too."""

_CURVES = ("rank", "log_probability", "entropy")


def lens_by_layer(records: pl.DataFrame) -> pl.DataFrame:
    """The curves by layer, for the patches on objects and those on none.

    Args:
        records: the run's lens records.

    Returns:
        A row for each region and layer: objects, patches; for strict and lenient the micro
        share (all patches together, interval by images) and the macro share (mean of the
        objects' shares), each with low and high; for rank, log_probability and entropy the mean
        over objects with low and high, and the quartiles q25 and q75.
    """
    rows = []
    for (region, layer), group in records.group_by(["region", "layer"]):
        row: dict[str, Any] = {"region": region, "layer": layer}
        row |= {"objects": group.height, "patches": group["patches"].sum()}
        for measure in MEASURES:
            columns = (group[name].to_list() for name in (measure, "patches", "image_id"))
            row |= interval_columns(f"{measure}_micro", pooled_share(*columns))
            row |= interval_columns(
                f"{measure}_macro", _mean(group.with_columns(_share(measure)), "share")
            )
        for curve in _CURVES:
            row |= interval_columns(curve, _mean(group, curve))
            row |= {
                f"{curve}_q25": group[curve].quantile(0.25, "linear"),
                f"{curve}_q75": group[curve].quantile(0.75, "linear"),
            }
        rows.append(row)
    return pl.DataFrame(rows, schema=_curve_schema()).sort(
        "region", "layer", descending=[True, False]
    )


def best_layers(records: pl.DataFrame, measure: str) -> pl.DataFrame:
    """Of every object the layer at which most of its patches name it.

    Args:
        records: the run's lens records.
        measure: "strict" or "lenient".

    Returns:
        A row for each object: image_id, object_id, class_name, best_share, best_layer. Ties
        count as their mean layer (the original code takes the first, which pulls the mean
        down); an object that no layer names has best_share 0 and best_layer null.
    """
    keys = ["image_id", "object_id", "class_name"]
    shares = records.filter((pl.col("region") == "object") & (pl.col("patches") > 0)).with_columns(
        share=pl.col(measure) / pl.col("patches")
    )
    best = shares.with_columns(best_share=pl.col("share").max().over(keys)).filter(
        pl.col("share") == pl.col("best_share")
    )
    return (
        best.group_by([*keys, "best_share"])
        .agg(best_layer=pl.col("layer").mean())
        .with_columns(
            best_layer=pl.when(pl.col("best_share") > 0).then(pl.col("best_layer")).otherwise(None)
        )
        .sort(keys)
    )


def lens_summary(records: pl.DataFrame, by_layer: pl.DataFrame) -> pl.DataFrame:
    """The figures the paper quotes: share at the best layer, and the mean best layer.

    Args:
        records: the run's lens records.
        by_layer: `lens_by_layer(records)`.

    Returns:
        A row for strict and one for lenient: layers (states looked at, the embedding output
        with them); objects, named (by some layer); best_layer and best_share (means over
        objects, each at its own best layer) with low and high; peak_layer, the layer whose
        macro share is highest, with that share, low and high, and the background's share
        there. No rows where nothing was measured.
    """
    rows = []
    on_object = by_layer.filter(pl.col("region") == "object")
    for measure in MEASURES if on_object.height else ():
        best = best_layers(records, measure)
        macro = f"{measure}_macro"
        peak = on_object.sort(macro, "layer", descending=[True, False], nulls_last=True).row(
            0, named=True
        )
        behind = by_layer.filter(
            (pl.col("region") == "background") & (pl.col("layer") == peak["layer"])
        )
        row: dict[str, Any] = {
            "measure": measure,
            "layers": on_object["layer"].max() + 1,  # pyright: ignore[reportOperatorIssue]
            "objects": best.height,
            "named": best["best_layer"].count(),
            "peak_layer": peak["layer"],
        }
        row |= interval_columns("best_layer", _mean(best, "best_layer"))
        row |= interval_columns("best_share", _mean(best, "best_share"))
        row |= {f"peak_share{end}": peak[f"{macro}{end}"] for end in ("", "_low", "_high")}
        row |= {
            f"peak_background{end}": behind[f"{macro}{end}"][0] if behind.height else None
            for end in ("", "_low", "_high")
        }
        rows.append(row)
    integers = dict.fromkeys(("layers", "objects", "named", "peak_layer"), pl.Int64)
    floats = {
        f"{name}{end}": pl.Float64
        for name in ("best_layer", "best_share", "peak_share", "peak_background")
        for end in ("", "_low", "_high")
    }
    return pl.DataFrame(rows, schema={"measure": pl.String} | integers | floats)


def _share(measure: str) -> pl.Expr:
    """Share of an object's patches; null where it has none."""
    patches = pl.col("patches")
    return pl.when(patches > 0).then(pl.col(measure) / patches).alias("share")


def _mean(objects: pl.DataFrame, column: str) -> Estimate:
    return mean(objects[column].to_list(), objects["image_id"].to_list())


def _curve_schema() -> dict[str, Any]:
    columns: dict[str, Any] = {"region": pl.String, "layer": pl.Int64}
    columns |= {"objects": pl.Int64, "patches": pl.Int64}
    shares = [f"{measure}_{kind}" for measure in MEASURES for kind in ("micro", "macro")]
    for name in (*shares, *_CURVES):
        ends = ("", "_low", "_high") if name in shares else ("", "_low", "_high", "_q25", "_q75")
        columns |= {f"{name}{end}": pl.Float64 for end in ends}
    return columns
