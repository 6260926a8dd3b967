"""Global features and outlier tokens, judged."""

from __future__ import annotations

import polars as pl

from retinoscope.experiments.globals.tables import ITEM, late_shares, paired
from retinoscope.report.verdict import (
    HELD,
    LEVEL,
    NOT_HELD,
    NOT_MEASURED,
    Check,
    TooFew,
    Verdict,
    all_met,
)
from retinoscope.report.wording import interval, percent, probability
from retinoscope.results.statistics import FEWEST, Estimate, fewest_pairs, holm, mcnemar, mean

NEEDED = 0.05
"""An answer needs the background where more than this share of answers changes without it."""

OUTLIERS = (
    "norm outliers",
    "norm outliers (MAD)",
    "norm outliers (3 x median)",
    "attention sinks",
    "massive states",
)

MOST_ON_OBJECTS = 0.5
"""Of a kind of which more lies on objects nothing is learnt about tokens that stand out."""

_FAR = ("far background", "ablate", False)
_ERASED = ("far background", "erased", False)
_KEPT = ("far background", "keep", False)
_NOTHING = ("all", "ablate", False)


def global_features(answers: pl.DataFrame, read: pl.DataFrame) -> Verdict:
    """Does far background hold the image's classes, and does an answer use it?

    Args:
        answers: the run's globals.
        read: the run's globals_read.
    """
    late = late_shares(read)
    # What the image as a whole is of is asked of its background, not of objects elsewhere.
    answers = answers.filter(pl.col("task") != "theme")
    checks = [_above_chance(late), _of_the_objects(late)]
    genuine = [check.met for check in checks]
    checks.append(_used(answers, genuine))
    return Verdict(
        "Global features",
        "Background tokens hold which objects the image has elsewhere, and answers use it.",
        "Held if all conditions are met; the lens reads the first word, in the second half of "
        "depth, at patches 2 or more from any object. Genuine: the first two are met.",
        all_met(checks),
        tuple(checks),
    )


def _above_chance(late: pl.DataFrame) -> Check:
    condition = (
        "far background decodes to classes of its image more often than to those of other images "
        "with as many classes (interval of the difference over images above 0)"
    )
    known = late.drop_nulls(["clean", "null"])
    if not known.height:
        return Check(condition, NOT_MEASURED, None)
    images = known["image_id"].to_list()
    gap = mean((known["clean"] - known["null"]).to_list(), images)
    text = (
        f"{_share(known, 'clean')} against {_share(known, 'null')} by chance"
        f"{_points(gap)}, n = {gap.n} images"
    )
    return Check(condition, text, _over(gap, 0))


def _of_the_objects(late: pl.DataFrame) -> Check:
    condition = "and less often once the objects' pixels are erased (likewise)"
    known = late.drop_nulls(["clean", "pixels"])
    if not known.height:
        return Check(condition, NOT_MEASURED, None)
    gap = mean((known["clean"] - known["pixels"]).to_list(), known["image_id"].to_list())
    # Without the objects' tokens the decoder can't write it: what is left the encoder wrote.
    tokens = _share(known, "tokens")
    text = (
        f"{_share(known, 'pixels')} without their pixels{_points(gap)}, "
        f"{tokens} without their tokens (which the encoder wrote, or nobody)"
    )
    return Check(condition, text, _over(gap, 0))


def _used(answers: pl.DataFrame, genuine: list[bool | TooFew | None]) -> Check:
    condition = (
        f"and more than {percent(NEEDED, 0)} of right answers change without it, or where text "
        "reads it as without the objects, or more stay right with it alone than with nothing "
        "(intervals over images)"
    )
    without = paired(answers, _FAR, _FAR)
    alone = paired(answers, _KEPT, _NOTHING)
    if not without.height:
        return Check(condition, NOT_MEASURED, None)
    needed = mean(without["first"].cast(pl.Float64).to_list(), without["image_id"].to_list())
    gains = (alone["second"].cast(pl.Int64) - alone["first"].cast(pl.Int64)).to_list()
    enough = mean([float(one) for one in gains], alone["image_id"].to_list())
    met = _over(needed, NEEDED)
    bare_read = paired(answers, _ERASED, _ERASED)
    erased = mean(bare_read["first"].cast(pl.Float64).to_list(), bare_read["image_id"].to_list())
    if met is False and erased.n:
        met = _over(erased, NEEDED)
    if met is False or isinstance(met, TooFew):
        met = _over(enough, 0) if enough.n else met
    kept, bare = (_share(alone.select(~pl.col(name)), name) for name in ("first", "second"))
    read = f", as without objects {percent(erased.value)} ({interval(erased.low, erased.high)})"
    text = (
        f"needed for {percent(needed.value)} ({interval(needed.low, needed.high)}) of answers"
        f"{read if erased.n else ''}, alone enough for {kept} (with nothing {bare}), "
        f"n = {without.height}: {_in_words(genuine, met)}"
    )
    return Check(condition, text, met)


def _in_words(genuine: list[bool | TooFew | None], used: bool | TooFew | None) -> str:
    """The verdict in the words of the question."""
    marks = [*genuine, used]
    if any(mark is None or isinstance(mark, TooFew) for mark in marks):
        return "not enough to say whether it is genuine"
    if not all(genuine):
        return "an artefact"
    return "genuine and used" if used else "genuine, unused"


def outlier_tokens(answers: pl.DataFrame, found: pl.DataFrame) -> Verdict:
    """Are tokens that stand out needed more than others?

    Args:
        answers: the run's globals.
        found: `tables.kind_table`.
    """
    where = dict(found.select("token_type", "on_objects").iter_rows())
    tests: list[tuple[str, float, float, int, str]] = []
    for kind in OUTLIERS:
        if (where.get(kind) or 0) > MOST_ON_OBJECTS:
            continue
        pairs = paired(answers, (kind, "ablate", False), (kind, "ablate", True))
        if pairs.height:
            first, second, images = _by_image(pairs)
            shares = [_share(pairs, name) for name in ("first", "second")]
            text = f"{shares[0]} against {shares[1]}, n = {pairs.height} in {images} images"
            tests.append((kind, mcnemar(first, second), first - second, images, text))
    adjusted = holm([p for _, p, *_ in tests])
    needed = fewest_pairs(LEVEL / max(1, len(tests)))
    checks: list[Check] = []
    for (kind, _, lead, images, text), p in zip(tests, adjusted, strict=True):
        met = lead > 0 and p < LEVEL if images >= needed else TooFew(needed)
        checks.append(Check(_needs(kind), f"{text}, p {probability(p)}", met))
    judged = {kind for kind, *_ in tests}
    checks += [
        Check(f"{_needs(kind)} ({_why_not(where.get(kind))})", NOT_MEASURED, None)
        for kind in OUTLIERS
        if kind not in judged
    ]
    return Verdict(
        "Outlier tokens",
        "Tokens that stand out by norm, attention or state hold what answers need.",
        "Held if one kind meets its condition (images in which more answers change than under as "
        "many random tokens against images in which fewer do; binomial p < .05, Holm over kinds). "
        "Kinds that the model has not, and those that mostly lie on objects, whatever else they "
        "are, are not judged.",
        _any_met(checks),
        tuple(checks),
    )


def _why_not(on_objects: float | None) -> str:
    if on_objects is None:
        return "no image has any"
    return f"{percent(on_objects, 0)} of them lie on objects, which answers need anyway"


def _needs(kind: str) -> str:
    return f"replacing {kind} changes more answers than replacing as many tokens at random"


def _by_image(pairs: pl.DataFrame) -> tuple[int, int, int]:
    """Images in which the first condition changes more answers, those with fewer, and all."""
    by_image = pairs.group_by(ITEM[0]).agg(
        lead=pl.col("first").cast(pl.Int64).sum() - pl.col("second").cast(pl.Int64).sum()
    )
    more, fewer = (int((sign * by_image["lead"] > 0).sum()) for sign in (1, -1))
    return more, fewer, by_image.height


def _any_met(checks: list[Check]) -> str:
    if any(check.met is True for check in checks):
        return HELD
    few = [check.met for check in checks if isinstance(check.met, TooFew)]
    if few:
        return str(few[0])
    return NOT_HELD if any(check.met is False for check in checks) else NOT_MEASURED


def _over(estimate: Estimate, bound: float) -> bool | TooFew:
    return TooFew(FEWEST) if estimate.low is None else estimate.low > bound


def _points(gap: Estimate) -> str:
    span = interval(gap.low, gap.high)
    return f" (difference {span} points)" if span else ""


def _share(rows: pl.DataFrame, column: str) -> str:
    """The mean of a column of shares, or of what is so or not, in percent."""
    values = rows[column].cast(pl.Float64).drop_nulls().to_list()
    return percent(sum(values) / len(values) if values else None)
