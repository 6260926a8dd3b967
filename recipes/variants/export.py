"""Write what is shipped of the variants: `python -m recipes.variants.export RESULTS`.

One seed of each goes into a folder of its own, without the tower, which is the embedded model's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl
import torch
from safetensors.torch import save_file
from torch import Tensor

from recipes.embedded.export import assemble, read_weights
from recipes.embedded.text import vocabulary
from recipes.embedded.together import embedded_shape
from recipes.embedded.words import Words
from recipes.stack.packing import unpack
from recipes.variants.catalogue import VARIANTS, Variant
from recipes.variants.families import variant_shape
from recipes.variants.study.contrast import at_end, clean, peaks
from recipes.variants.tables import read_table
from retinoscope.models.tower import TOWER, fingerprint
from retinoscope.models.variant import OWN, own_part
from retinoscope.shipped import EMBEDDED, embedded_folder

FOLDER = Path(__file__).parents[2] / "variants" / "src" / "retinoscope_variants"
CARD = """\
# {name}: {change}

One of the variants of the study of refinement (`docs/refinement.md` of Retinoscope): the tower of
the embedded model, frozen, a connector, and a Llama decoder of 8 layers and 128 dimensions,
{text}.

What it is there for: {question} Seed 0 of {seeds}; weights have 6 significant bits.

| on new scenes of the training's sprites | share | scenes |
|---|---|---|
{measured}

It is there to be compared with the others, not to answer well.
{choices}"""
TEXTS = {
    "raster": "trained on sentences and raster text",
    "sentences": "trained on sentences alone",
    "shuffled": "trained on sentences and on raster text with shuffled names",
    "distracted": "trained on sentences and on raster text with distractors",
    "none": "not trained on text before it saw images",
}


def shipped(variant: Variant) -> bool:
    """Whether a variant is a LLaVA of `transformers`, which knows no connector but patches."""
    return variant.connector == "patches"


def built_in(variant: Variant) -> dict[str, str]:
    """What the training of a variant says to each verdict that it touches."""
    # All stand behind one tower, and what its training favours they inherit.
    own = json.loads((embedded_folder() / "built_in.json").read_text("utf-8"))
    found = {"Localisation": own["Localisation"]}
    if variant.erased:
        found["Localisation"] = (
            "That this model loses a thing with its tokens was trained, by erasing things, and is "
            "no evidence about large models."
        )
    if variant.lens:
        found["Refinement"] = (
            "That object patches read as their word was asked for in training, and is no evidence "
            "about large models."
        )
    elif variant.text in ("raster", "shuffled", "distracted"):
        found["Refinement"] = (
            "A fifth of the texts show words cell by cell, as visual tokens come; what object "
            "patches decode to is no evidence about large models."
        )
    if variant.pointing:
        found["Extraction"] = (
            "That the answer is read from the thing's tokens in layers 3 and 5 was trained, by "
            "showing heads where to look."
        )
    return found


def card(variant: Variant, table: pl.DataFrame) -> str:
    """The card of a variant, with what was measured of its seed 0."""
    right = at_end(clean(table, "accuracy")).filter(pl.col("task") == "all")
    measured = {
        "object patches that read as their word, best layer": at_end(peaks(table)),
        "the class that a linear probe finds in them, best layer": at_end(
            peaks(table, measure="probe")
        ),
        "things named in descriptions": clean(table, "recall"),
        "answers right, all kinds of question": right,
    }
    rows = []
    for what, values in measured.items():
        one = values.filter(variant=variant.name, seed=0).row(0, named=True)
        rows.append(f"| {what} | {one['value']:.3f} | {one['images']} |")
    choices = [
        f"\n### A choice that shapes {name.lower()}\n\n**{sentence}**\n"
        for name, sentence in built_in(variant).items()
    ]
    return CARD.format(
        name=variant.name,
        change=variant.change,
        text=TEXTS[variant.text],
        question=variant.question,
        seeds=variant.seeds,
        measured="\n".join(rows),
        choices="".join(choices),
    )


def write(name: str, weights: dict[str, Tensor], tower: dict[str, Tensor], folder: Path) -> None:
    """Write one variant's folder."""
    words = Words(vocabulary())
    own = {key.removeprefix(f"{name}/"): w for key, w in weights.items()}
    model = assemble(own | tower, variant_shape(len(words.vocabulary)), words, embedded_shape(1))
    folder.mkdir(parents=True, exist_ok=True)
    if VARIANTS[name].linear:
        model.config.projector_hidden_act = "linear"
    model.config.architectures = [type(model).__name__]
    model.config.to_json_file(folder / "config.json")
    save_file({n: w.to(torch.bfloat16) for n, w in own_part(model).items()}, folder / OWN)
    (folder / OWN).chmod(0o644)
    behind = {"model": EMBEDDED, "sha256": fingerprint(model.model.vision_tower)}
    _write_json(folder / TOWER, behind)
    _write_json(folder / "built_in.json", built_in(VARIANTS[name]))
    (folder / "README.md").write_text(card(VARIANTS[name], read_table("variants")), "utf-8")


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def main() -> None:
    """Write every variant that a run left, and its line in the list of cards."""
    parser = argparse.ArgumentParser(prog="python -m recipes.variants.export", description=__doc__)
    parser.add_argument("results", type=Path, help="holds variants-*.npz")
    given = parser.parse_args()
    tower = {k: w for k, w in read_weights(embedded_folder()).items() if k.startswith("tower")}
    found: dict[str, Tensor] = {}
    for file in sorted(given.results.glob("variants-*.npz")):
        found |= unpack(file)
    cards = json.loads((FOLDER / "cards.json").read_text("utf-8"))
    for name, variant in VARIANTS.items():
        weights = {key: w for key, w in found.items() if key.split("/", 1)[0] == name}
        if weights and shipped(variant):
            write(name, weights, tower, FOLDER / name)
            cards[name] = f"128 wide, behind the embedded tower: {variant.change}"
            print(f"wrote {FOLDER / name}")
    _write_json(FOLDER / "cards.json", cards)


if __name__ == "__main__":
    main()
