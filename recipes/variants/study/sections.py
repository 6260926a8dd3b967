"""The tables of the study's page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from recipes.variants.catalogue import VARIANTS
from recipes.variants.study.contrast import (
    KNOWN,
    LENS,
    UNKNOWN,
    Contrast,
    at_accuracy,
    at_end,
    clean,
    compare,
    interaction,
    peaks,
    seeds_of,
)

CONTRASTS = (
    ("V10", "V0", "positive control: the lens is asked for"),
    ("V0", "V1", "raster text, decoder tuned"),
    ("V2", "V3", "raster text, decoder frozen"),
    ("V0", "V2", "tuning, after raster text"),
    ("V1", "V3", "tuning, without raster text"),
    ("V0", "V14", "names of the raster in their order, against shuffled"),
    ("V0", "V15", "raster without distractors, against with"),
    ("V0", "V11", "nothing erased, against things erased"),
    ("V0", "V12", "heads left alone, against shown where to look"),
    ("V12", "V16", "shown where to look: nothing erased, against things erased"),
    ("V0", "V6", "connector with GELU, against linear"),
    ("V0", "V4", "text before images, against none"),
)
ASKED = ("poll", "kind", "position", "relation", "count", "colour")
CHANGES = (
    ("clean", "nothing"),
    ("mlp_0_mean", "MLP 0"),
    ("mlps_mean", "all MLPs"),
    ("attention_0_mean", "attention 0"),
    ("attentions_mean", "all attention"),
    ("visual_sees_itself", "sight of other visual tokens"),
)
TEXT_GATE = 0.95
INSIDE = ("V0", "V2", "V14", "V12", "V10")
"""Variants with a lens to take something away from."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def number(value: float) -> str:
    """A share as text."""
    return f"{value:.3f}"


def across(values: Sequence[float]) -> str:
    """Mean and range over seeds."""
    if not values:
        return "–"
    mean = number(sum(values) / len(values))
    return mean if len(values) == 1 else f"{mean} ({number(min(values))} to {number(max(values))})"


def between(contrast: Contrast) -> str:
    """A difference with its interval."""
    if contrast.low == -float("inf"):
        return f"{contrast.difference:+.3f} (no interval from one seed)"
    return f"{contrast.difference:+.3f} [{contrast.low:+.3f}, {contrast.high:+.3f}]"


def measured(variants: pl.DataFrame) -> list[str]:
    """The variants that have records, in the catalogue's order."""
    known = set(variants["variant"])
    return [name for name in VARIANTS if name in known]


def arms(variants: pl.DataFrame) -> str:
    """What each variant is, and how many seeds it has."""
    rows = [
        (name, VARIANTS[name].change, VARIANTS[name].question, _count(variants, name))
        for name in measured(variants)
    ]
    return table(("variant", "change", "question", "seeds"), rows)


def outcome(variants: pl.DataFrame) -> str:
    """Lens, probe and answers of each variant at the end."""
    ends = {split: at_end(peaks(variants, split)) for split in (KNOWN, UNKNOWN)}
    probe = at_end(peaks(variants, KNOWN, "probe"))
    control = at_end(peaks(variants, KNOWN, "probe_control"))
    right = at_end(clean(variants, "accuracy")).filter(pl.col("task") == "all")
    recall = clean(variants, "recall")
    rows = []
    for name in [*measured(variants), "random"]:
        one = ends[KNOWN].filter(pl.col("variant") == name).sort("seed")
        within = "–"
        if len(one):
            within = f"{number(one['low'][0])} to {number(one['high'][0])}"
        columns = (ends[KNOWN], ends[UNKNOWN], probe, control, right, recall)
        cells = [across(seeds_of(rows_of, name)) for rows_of in columns]
        rows.append((name, cells[0], within, *cells[1:]))
    head = ("variant", "lens, peak", "over images, first seed", "lens, Twemoji", "probe, peak")
    return table((*head, "probe, shuffled labels", "answers right", "recall"), rows)


def contrasts(variants: pl.DataFrame) -> str:
    """Every contrast at equal steps, on both kinds of sprites, and at equal accuracy."""
    ends = {split: at_end(peaks(variants, split)) for split in (KNOWN, UNKNOWN)}
    rows = []
    for first, second, meaning in CONTRASTS:
        seen, unseen = (
            compare(seeds_of(ends[split], first), seeds_of(ends[split], second))
            for split in (KNOWN, UNKNOWN)
        )
        target, found = at_accuracy(variants, (first, second))
        equal = compare(found[first], found[second])
        rows.append(
            (
                f"{first} − {second}",
                meaning,
                f"{len(seen.first)}, {len(seen.second)}",
                between(seen),
                f"{seen.p:.3f} ({seen.least:.3f})",
                between(unseen),
                f"{between(equal)} at {target:.2f}",
            )
        )
    head = ("contrast", "what differs", "seeds", "equal steps", "exact p (least possible)")
    return table((*head, "equal steps, Twemoji", "equal accuracy"), rows)


def crossed(variants: pl.DataFrame) -> str:
    """The interaction of text and tuning."""
    ends = at_end(peaks(variants))
    value, low, high = interaction([seeds_of(ends, name) for name in ("V0", "V1", "V2", "V3")])
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def answers(variants: pl.DataFrame) -> str:
    """Answers by kind of question: images, and the same kinds about documents in words."""
    rows_of = at_end(clean(variants, "accuracy"))
    text = clean(variants, "accuracy", "text").filter(pl.col("task") == "all")
    rows = []
    for name in measured(variants):
        cells = [seeds_of(rows_of.filter(pl.col("task") == kind), name) for kind in ASKED]
        told = [number(sum(cell) / len(cell)) for cell in cells]
        rows.append((name, *told, across(seeds_of(text, name))))
    return table(("variant", *ASKED, "text QA, all kinds"), rows)


def interventions(variants: pl.DataFrame, names: Sequence[str] = INSIDE) -> str:
    """Lens and answers with parts of the decoder averaged out at visual tokens."""
    rows_of = at_end(variants).filter(pl.col("split") == KNOWN)
    lens = rows_of.filter(pl.col("measure") == LENS)
    lens = lens.group_by("variant", "seed", "condition").agg(pl.col("value").max())
    right = rows_of.filter(pl.col("measure") == "accuracy", pl.col("task") == "all")
    rows = []
    for name in names:
        for condition, told in CHANGES:
            found = [
                seeds_of(each.filter(pl.col("condition") == condition), name)
                for each in (lens, right)
            ]
            rows.append((name, told, *(across(values) for values in found)))
    return table(("variant", "taken away at visual tokens", "lens, peak", "answers right"), rows)


def background(variants: pl.DataFrame, embedded: pl.DataFrame) -> str:
    """Far background that reads as a class of its image, and of another image."""
    rows = []
    for rows_of, names in ((at_end(variants), ("V0", "V1", "V10")), (embedded, MODELS)):
        for name in names:
            own, other = (
                across(seeds_of(peaks(place(rows_of), KNOWN, measure), name))
                for measure in ("lens_present", "lens_present_null")
            )
            rows.append((name, own, other))
    return table(("model", "class of this image", "class of another image"), rows)


MODELS = ("reference", "pointed")


def place(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows about patches far from every thing."""
    return rows.filter(pl.col("task") == "background")


def large(embedded: pl.DataFrame) -> str:
    """The two models that learnt the task."""
    rows = []
    for name in MODELS:
        cells = []
        for split in (KNOWN, UNKNOWN):
            one = peaks(embedded, split).filter(pl.col("variant") == name)
            cells.append(
                f"{number(one['value'][0])} [{number(one['low'][0])}, {number(one['high'][0])}], "
                f"layer {one['layer'][0]}"
            )
        all_rows = clean(embedded, "accuracy").filter(pl.col("task") == "all")
        cells += [across(seeds_of(clean(embedded, LENS).filter(pl.col("layer") == 0), name))]
        cells += [across(seeds_of(all_rows, name))]
        cells += [across(seeds_of(clean(embedded, "recall"), name))]
        rows.append((name, *cells))
    head = ("model", "lens, peak", "lens, Twemoji", "lens at layer 0", "answers right", "recall")
    return table(head, rows)


def _count(variants: pl.DataFrame, name: str) -> int:
    return len(set(variants.filter(pl.col("variant") == name)["seed"]))
