"""What drives the refinement, judged."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.drivers.tables import PARTS, TRIAL
from retinoscope.report.verdict import (
    LEVEL,
    NOT_HELD,
    NOT_MEASURED,
    Check,
    Row,
    TooFew,
    Verdict,
    above,
    all_met,
    one_row,
)
from retinoscope.report.wording import interval, percent, probability
from retinoscope.results.statistics import FEWEST, fewest_pairs, rate

READABLE = 0.1
"""A clean share below which there is no refinement to drive."""

NEEDED = 0.1
"""A head that takes a smaller share of the right answers is not needed by them."""

NAMES = {"attention": "attention", "mlp": "MLP", "head": "head", "source": "source"}


def named(row: Row) -> str:
    """A part of the model as it is read: "MLP 0", "head 3.1" (layer first), "all attentions"."""
    name = NAMES[row["part"]]
    if row["part"] == "head":
        return f"head {row['layer']}.{row['head']}"
    if row["layer"] >= 0:
        return f"{name} {row['layer']}"
    return row["value"] if row["part"] == "source" else f"all {name}s"


def driver(effects: pl.DataFrame) -> Verdict:
    """Does one sublayer carry the refinement?"""
    single = effects.filter(
        (pl.col("layer") >= 0) & (pl.col("region") == "image") & pl.col("part").is_in(PARTS)
    )
    mean = single.filter(pl.col("value") == "mean")
    conditions = (
        "the sublayer without which (its mean instead) the best share falls most takes at least "
        f"half of it, and it falls in more objects than it rises (Holm over {mean.height} "
        "sublayers, p < .05)",
        "what it adds in another image does as well: p < .05, and at least half is gone",
        "a random vector of the same size, added to what it adds, takes less, intervals apart",
    )
    checks = [Check(condition, NOT_MEASURED, None) for condition in conditions]
    if mean.height:
        strongest = mean.sort("loss", descending=True).row(0, named=True)
        where = {"part": strongest["part"], "layer": strongest["layer"]}
        other, noise = (_single(single, value, **where) for value in ("resampled", "noise"))
        checks[0] = _halved(conditions[0], strongest, "p_holm", mean.height)
        if other is not None:
            checks[1] = _halved(conditions[1], other, "p", 1)
        if noise is not None:
            found = f"{_loss(strongest)} against {_loss(noise)}"
            met = above(strongest["loss_low"], noise["loss_high"])
            checks[2] = Check(conditions[2], found, met)
    return Verdict(
        "A single driver",
        "One sublayer writes the object's word into its patches: without it they don't read as it.",
        f"Held if all three are met. Shares are of each object at its best layer; a clean share "
        f"under {percent(READABLE, 0)} leaves nothing to drive, and the claim does not hold.",
        all_met(checks),
        tuple(checks),
    )


def _single(single: pl.DataFrame, value: str, part: str, layer: int) -> Row | None:
    rows = single.filter(value=value, part=part, layer=layer)
    return rows.row(0, named=True) if rows.height else None


def _loss(row: Row) -> str:
    span = interval(row["loss_low"], row["loss_high"])
    return f"{percent(row['loss'])}{f' ({span})' if span else ''}"


def _halved(condition: str, row: Row, p: str, tests: int) -> Check:
    found = (
        f"{named(row)}: from {percent(row['share_clean'])} to {percent(row['share'])}, lost "
        f"{_loss(row)}, n = {row['objects']}, p {probability(row[p])}"
    )
    needed = fewest_pairs(LEVEL / tests)
    if row["objects"] < needed:
        return Check(condition, found, TooFew(needed))
    readable = row["share_clean"] >= READABLE
    met = readable and row["loss"] >= 0.5 * row["share_clean"] and row[p] < LEVEL
    return Check(condition, found, bool(met))


def in_place(effects: pl.DataFrame) -> Verdict:
    """Does a patch become its word by itself?"""
    alone = one_row(effects, part="source", value="other patches")
    condition = (
        "object patches that read no other visual token keep more than half of the share (at each "
        "object's best layer)"
    )
    check = Check(condition, NOT_MEASURED, None)
    rest = ""
    if alone is not None:
        rest = (
            f" Behind the last layer they keep {percent(alone['last'])} of "
            f"{percent(alone['last_clean'])}."
        )
        span = interval(alone["share_low"], alone["share_high"])
        found = (
            f"{percent(alone['share'])}{f' ({span})' if span else ''} of "
            f"{percent(alone['share_clean'])}, n = {alone['objects']}"
        )
        met: bool | TooFew = TooFew(FEWEST)
        if alone["share_low"] is not None:
            readable = alone["share_clean"] >= READABLE
            met = bool(readable and alone["share_low"] > 0.5 * alone["share_clean"])
        check = Check(condition, found, met)
    return Verdict(
        "Refinement in place",
        "A patch becomes its word without reading other patches.",
        f"Held if the share's interval lies above half the clean share.{rest}",
        all_met([check]),
        (check,),
    )


def used(effects: pl.DataFrame, answers: pl.DataFrame) -> Verdict:
    """Do the answers care what the lens reads?"""
    halving = effects.filter(
        (pl.col("region") != "background")
        & (pl.col("part") != "head")
        & (pl.col("share_clean") >= READABLE)
        & (pl.col("loss") >= 0.5 * pl.col("share_clean"))
        & (pl.col("loss_low") > 0)
    )
    both = answers.join(halving, on=list(TRIAL), how="inner").filter(pl.col("n") > 0)
    few = TooFew(FEWEST) if _few(effects) else None
    checks = [
        _used(task, both.filter(pl.col("task") == task), few)
        for task in answers["task"].unique(maintain_order=True)
    ]
    outcome = all_met(checks) if checks else NOT_MEASURED
    if few is None and effects.height and not halving.height:
        outcome = NOT_HELD
    return Verdict(
        "The answers use it",
        "Where the word can't be read off the patches any more, the answers fail too.",
        "Held if under every intervention that takes at least half of the lens' share at least "
        "10 % of the right answers become wrong. Where one leaves the answers (its interval "
        "reaches no higher than 10 %), the readable word is a by-product: the answers don't rest "
        "on it.",
        outcome,
        tuple(checks) or (Check("answers were measured", NOT_MEASURED, None),),
    )


def needed_head(heads: pl.DataFrame) -> Verdict:
    """Does one head hold what answers need?"""
    condition = (
        f"the head without which (its mean at visual positions) most right answers of a task "
        f"become wrong takes at least {percent(NEEDED, 0)} of them, and more than the next head of "
        f"its layer (McNemar, Holm over {heads.height} heads and tasks, p < .05)"
    )
    check = Check(condition, NOT_MEASURED, None)
    if heads.height:
        ranked = heads.with_columns(lost=pl.col("wrong") / pl.col("n")).sort(
            "lost", descending=True
        )
        most = ranked.row(0, named=True)
        share, other = (rate(most[name], most["n"]) for name in ("wrong", "other"))
        found = (
            f"{named({**most, 'part': 'head'})}: {percent(share.value)} "
            f"({interval(share.low, share.high)}) of {most['task']} answers against "
            f"{percent(other.value)}, n = {most['n']}, p {probability(most['p_holm'])}"
        )
        enough = fewest_pairs(LEVEL / heads.height)
        met = (
            share.hits >= NEEDED * share.n
            and most["wrong"] > most["other"]
            and most["p_holm"] < LEVEL
        )
        check = Check(condition, found, bool(met) if most["n"] >= enough else TooFew(enough))
    return Verdict(
        "A head that answers need",
        "What one head gives at visual positions is needed by answers, whatever the lens loses.",
        "Held if the condition is met. Heads are replaced one at a time: where others make up for "
        "one, as they may (self-repair), it is missed less than it does.",
        all_met([check]),
        (check,),
    )


def _few(effects: pl.DataFrame) -> bool:
    return bool(effects.height) and effects["loss_low"].null_count() == effects.height


def _used(task: str, both: pl.DataFrame, few: TooFew | None) -> Check:
    condition = f"{task}: no intervention takes the lens and leaves the answers"
    if few is not None:
        return Check(condition, "too few images for an interval of the lens' share", few)
    if not both.height:
        return Check(condition, "no intervention takes half of the lens' share", None)
    least = both.sort("decrease").row(0, named=True)
    several = both.height > 1
    taking = f"{both.height} interventions take" if several else "one intervention takes"
    found = (
        f"{taking} half of the share; {'least' if several else 'this'} is lost without "
        f"{named(least)} ({least['value']}): {percent(least['decrease'])} "
        f"({interval(least['decrease_low'], least['decrease_high'])}; n = {least['n']}) of the "
        f"answers, with the share at {percent(least['share'])} of {percent(least['share_clean'])}"
    )
    if least["decrease_high"] <= 0.1:
        return Check(condition, found, False)
    return Check(condition, found, least["decrease"] >= 0.1)
