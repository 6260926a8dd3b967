"""What POPE and CHAIR report, each with its 95 % interval, and paired against the clean run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from retinoscope.results.statistics import Estimate, Rate, mcnemar, pooled_share, rate


def measured(items: pl.DataFrame, task: str, conditions: Sequence[str]) -> pl.DataFrame:
    """A row for each condition and metric: condition, metric, value, low, high, n."""
    metrics = _pope if task == "pope" else _chair
    rows = [
        (condition, name, one.value, one.low, one.high, one.n)
        for condition in conditions
        for name, one in metrics(items.filter(pl.col("condition") == condition)).items()
    ]
    columns = ["condition", "metric", "value", "low", "high", "n"]
    return pl.DataFrame(rows, columns, orient="row", infer_schema_length=None)


def compared(items: pl.DataFrame, task: str, conditions: Sequence[str]) -> pl.DataFrame:
    """Each condition against the first on the same questions or captions.

    Columns: condition, change (of the share that is right; of captions, free of hallucination),
    lost and gained (cases that became wrong, and right), n, and p (McNemar's exact test).
    """
    first = items.filter(pl.col("condition") == conditions[0])["right"].to_list()
    rows = []
    for condition in conditions[1:]:
        own = items.filter(pl.col("condition") == condition)["right"].to_list()
        pairs = list(zip(first, own, strict=True))
        lost = sum(a and not b for a, b in pairs)
        gained = sum(b and not a for a, b in pairs)
        change = (gained - lost) / len(pairs)
        rows.append((condition, change, lost, gained, len(pairs), mcnemar(gained, lost)))
    columns = ["condition", "change", "lost", "gained", "n", "p"]
    return pl.DataFrame(rows, columns, orient="row")


def _pope(items: pl.DataFrame) -> Mapping[str, Rate | Estimate]:
    said, there = pl.col("yes"), pl.col("present")
    true = items.filter(said & there).height
    # F1 is 2 TP / (2 TP + FP + FN): a share of weights, bootstrapped over images.
    weights = items.select(
        "image",
        hit=2 * (said & there).cast(pl.Int64),
        of=said.cast(pl.Int64) + there.cast(pl.Int64),
    )
    return {
        "accuracy": rate(items.filter("right").height, items.height),
        "precision": rate(true, items.filter(said).height),
        "recall": rate(true, items.filter(there).height),
        "F1": pooled_share(*(weights[name].to_list() for name in ("hit", "of", "image"))),
        "says yes": rate(items.filter(said).height, items.height),
    }


def _chair(items: pl.DataFrame) -> Mapping[str, Rate | Estimate]:
    columns = {name: items[name].to_list() for name in items.columns}
    images = columns["image"]
    return {
        "CHAIRs (captions with a hallucination)": rate(
            items.filter(~pl.col("right")).height, items.height
        ),
        "CHAIRi (named things not there)": pooled_share(
            columns["hallucinated"], columns["named"], images
        ),
        "recall of what is there": pooled_share(columns["recalled"], columns["present"], images),
    }
