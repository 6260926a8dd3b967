"""The study's page, computed from the records."""

from __future__ import annotations

from pathlib import Path

import polars as pl

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
    """The answer in one sentence, with its interval and with what stands against it."""
    ends = at_end(peaks(variants))
    raster = compare(seeds_of(ends, "V0"), seeds_of(ends, "V1"))
    control = compare(seeds_of(ends, "V10"), seeds_of(ends, "V0"))
    null = max(seeds_of(ends, "random"))
    best = max(clean(variants, "recall")["value"])
    moved = "raises" if raster.difference > 0 else "lowers"
    found = (
        f"Raster text {moved} the peak share by {sections.between(raster)} (exact p = "
        f"{raster.p:.3f}, {len(raster.first)} seeds against {len(raster.second)})"
    )
    works = (
        f"the positive control raises it by {sections.between(control)}, so the measure can see it"
        if control.low > 0
        else "the positive control does not raise it, so the measure is broken"
    )
    top = max(seeds_of(ends, "V0"))
    if best >= REACHED and min(seeds_of(ends, "V0")) > null:
        return f"{found}; {works}."
    return (
        f"**What drives the refinement can't be said from these variants:** {_lower(found)}, but "
        f"V0's best seed reads {number(top)}, about what a decoder with random weights reads "
        f"({number(null)}), and no variant learnt the task (best recall {number(best)}); {works}."
    )


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


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
    lens = clean(variants, sections.LENS)
    last, earlier = (lens.filter(pl.col("checkpoint") == at)["images"][0] for at in (6, 5))
    probe = at_end(clean(variants, "probe")).filter(pl.col("layer") == 0)
    return {
        "steps": int(variants["step"].to_numpy().max()),
        "large_steps": int(embedded["step"].to_numpy().max()),
        "last": last,
        "earlier": earlier,
        "text_frozen": sections.across([*seeds_of(text, "V2"), *seeds_of(text, "V3")]),
        "text_tuned": sections.across([*seeds_of(text, "V0"), *seeds_of(text, "V1")]),
        "best": number(max(right["value"])),
        "lowest": sections.across(seeds_of(right, "V9-class")),
        "recall": number(max(clean(variants, "recall")["value"])),
        "null": number(max(seeds_of(at_end(peaks(variants)), "random"))),
        "probe_v0": sections.across(seeds_of(probe, "V0")),
        "probe_null": number(seeds_of(probe, "random")[0]),
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
