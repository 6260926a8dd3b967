"""The study's page, computed from the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from recipes.variants.catalogue import VARIANTS
from recipes.variants.study import sections
from recipes.variants.study.contrast import (
    at_end,
    clean,
    compare,
    peaks,
    seeds_of,
)
from recipes.variants.study.sections import TEXT_GATE, number
from retinoscope.data.scenes.classes import NAMES

REACHED = 0.7
"""Recall from which the design meant to compare the lens."""
CROSSED = ("V0", "V1", "V2", "V3")
"""Raster text or none, by decoder tuned or frozen."""
COMMAND = "python -m recipes.variants.study"
TEMPLATE = Path(__file__).with_name("template.md")
TITLES = {
    "peaks": "Peak share of the lens, one dot a seed",
    "layers": "Lens and probe over layers",
    "accuracy": "Lens against accuracy over the checkpoints",
    "interventions": "Lens and answers under interventions",
}
"""Figures by the name that `figures.draw_all` gives them."""


def verdict(variants: pl.DataFrame) -> str:
    """The answer in a few sentences, with its intervals and with what stands against it."""
    ends = at_end(peaks(variants))
    control = compare(seeds_of(ends, "V10"), seeds_of(ends, "V0"))
    if control.low <= 0:
        return "The positive control does not raise the lens, so the measure is broken."
    works = (
        f"The positive control raises the peak share by {sections.between(control)}, so the "
        "measure can see it."
    )
    tuned, frozen, tuning = (
        compare(seeds_of(ends, one), seeds_of(ends, other))
        for one, other in (("V0", "V1"), ("V2", "V3"), ("V0", "V2"))
    )
    found = (
        f"raster text changes the peak share by {sections.between(tuned)} where the decoder is "
        f"tuned on images (exact p = {tuned.p:.3f}, {len(tuned.first)} seeds against "
        f"{len(tuned.second)}), and by {sections.between(frozen)} where it stays as text left it "
        f"(p = {frozen.p:.3f}); tuning after raster text changes it by {sections.between(tuning)}"
    )
    recall = clean(variants, "recall")
    least = min(sum(seeds_of(recall, name)) / len(seeds_of(recall, name)) for name in CROSSED)
    if least < REACHED:
        return (
            f"**What drives the refinement can't be said from these variants:** {found}, but they "
            f"did not learn the task (least recall of an arm {number(least)}). {works}"
        )
    if min(tuned.low, frozen.low) > 0:
        said = "**Raster text drives the refinement; tuning on images alone does not:**"
    else:
        said = "**Raster text is not shown to drive the refinement:**"
    return (
        f"{said} {found}. Recall is {_means(recall, CROSSED)} in V0 to V3, and a linear probe "
        f"finds the class in {_means(at_end(peaks(variants, measure='probe')), CROSSED)} of the "
        f"same patches. {_which_text(ends)} {works}"
    )


def _means(rows: pl.DataFrame, names: Sequence[str]) -> str:
    return ", ".join(number(sum(seeds_of(rows, n)) / len(seeds_of(rows, n))) for n in names)


def _which_text(ends: pl.DataFrame) -> str:
    """What the arms with other rasters read."""
    true, shuffled, distracted = (_means(ends, [name]) for name in ("V0", "V14", "V15"))
    return (
        f"Of the {true} that V0 reads, a raster with distractors (V15), in which no word follows "
        f"itself, leaves {distracted}; one with shuffled names (V14), in which words still follow "
        f"themselves, {shuffled}."
    )


def write_page(variants: pl.DataFrame, embedded: pl.DataFrame, target: Path) -> None:
    """Write the page; its figures lie beside it."""
    told = {"verdict": verdict(variants), "command": COMMAND, "gate": TEXT_GATE}
    told |= {
        f"figure_{name}": f"![{title}](refinement-{name}.svg)" for name, title in TITLES.items()
    }
    told |= _tables(variants, embedded) | _reached(variants, embedded) | _learnt(embedded)
    target.write_text(TEMPLATE.read_text("utf-8").format(**told), "utf-8")


def _tables(variants: pl.DataFrame, embedded: pl.DataFrame) -> dict[str, object]:
    return {
        "arms": sections.arms(variants),
        "outcome": sections.outcome(variants),
        "contrasts": sections.contrasts(variants),
        "interaction": sections.crossed(variants),
        "interventions": sections.interventions(variants),
        "answers": sections.answers(variants),
        "background": sections.background(variants, embedded),
        "large": sections.large(embedded),
    }


def _reached(variants: pl.DataFrame, embedded: pl.DataFrame) -> dict[str, object]:
    """How far training came, and what was there to be named."""
    text = at_end(clean(variants, "accuracy", "text")).filter(pl.col("task") == "all")
    right = at_end(clean(variants, "accuracy")).filter(pl.col("task") == "all")
    recall = clean(variants, "recall")
    lens = clean(variants, sections.LENS)
    last, earlier = (lens.filter(pl.col("checkpoint") == at)["images"][0] for at in (6, 5))
    ends = at_end(peaks(variants))
    probe = at_end(clean(variants, "probe")).filter(pl.col("layer") == 0)
    return {
        "steps": int(variants["step"].to_numpy().max()),
        "large_steps": int(embedded["step"].to_numpy().max()),
        "last": last,
        "earlier": earlier,
        "text_frozen": sections.across([*seeds_of(text, "V2"), *seeds_of(text, "V3")]),
        "text_tuned": sections.across([*seeds_of(text, "V0"), *seeds_of(text, "V1")]),
        "right": sections.across([v for name in CROSSED for v in seeds_of(right, name)]),
        "recall": sections.across([v for n in CROSSED for v in seeds_of(recall, n)]),
        "described": recall["images"][0],
        "changed": variants.filter(pl.col("condition") == "mlps_mean")["images"][0],
        "missing": ", ".join(
            f"{n} ({v.change})" for n, v in VARIANTS.items() if n not in set(variants["variant"])
        ),
        "null": sections.across(seeds_of(ends, "random")),
        **{f"lens_{name}": sections.across(seeds_of(ends, name)) for name in VARIANTS},
        "probe_v0": sections.across(seeds_of(probe, "V0")),
        "probe_v1": sections.across(seeds_of(probe, "V1")),
        "probe_null": sections.across(seeds_of(probe, "random")),
        "probe_control": number(max(clean(variants, "probe_control")["value"])),
        "classes": len(NAMES),
    }


def _learnt(embedded: pl.DataFrame) -> dict[str, object]:
    """The lens of the models that learnt the task."""
    found = {row["variant"]: row for row in peaks(embedded).iter_rows(named=True)}
    return {
        "reference_peak": number(found["reference"]["value"]),
        "reference_layer": found["reference"]["layer"],
        "pointed_peak": number(found["pointed"]["value"]),
    }
