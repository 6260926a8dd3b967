"""The variants: what each changes in the reference V0, and which question that answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from recipes.stack.connector import ConnectorKind

TextKind = Literal["raster", "sentences", "shuffled", "distracted", "none"]


@dataclass(frozen=True)
class Variant:
    """One variant.

    Attributes:
        name: its short name.
        change: what it changes in V0, in words.
        question: what comparing it with V0 answers.
        text: what its decoder is trained on before it sees images: sentences with rasters
            among them (plain, with shuffled names, or with distractors), sentences alone, nothing.
        frozen: whether its decoder stays as text left it.
        connector: what becomes of the tower's states.
        linear: whether no GELU stands between the connector's matrices.
        lens: whether visual tokens are asked for their word.
        erased: whether things are erased.
        pointing: whether heads are shown where to look.
        seeds: how many are trained.
    """

    name: str
    change: str
    question: str
    text: TextKind = "raster"
    frozen: bool = False
    connector: ConnectorKind = "patches"
    linear: bool = False
    lens: bool = False
    erased: bool = False
    pointing: bool = False
    seeds: int = 1


VARIANTS: dict[str, Variant] = {
    v.name: v
    for v in (
        Variant("V0", "the reference", "what are the others compared with?", seeds=5),
        Variant(
            "V1", "no raster text", "does text that copies words teach it?", "sentences", seeds=5
        ),
        Variant("V2", "decoder frozen", "does multimodal tuning teach it?", frozen=True, seeds=5),
        Variant(
            "V3",
            "no raster text, decoder frozen",
            "do text and tuning add up?",
            "sentences",
            frozen=True,
            seeds=5,
        ),
        Variant("V4", "no text before images", "do images alone teach it?", "none"),
        Variant("V6", "linear connector", "does the connector's depth matter?", linear=True),
        Variant("V7", "visual tokens pooled 2 x 2", "does granularity matter?", connector="pooled"),
        Variant(
            "V8", "36 queries resample the image", "do tokens need a place?", connector="queries"
        ),
        Variant("V9-class", "class token alone", "the lower bound", connector="class"),
        Variant(
            "V10",
            "lens loss on visual tokens",
            "can the measure see it at all?",
            lens=True,
            seeds=5,
        ),
        Variant(
            "V11", "things erased in training", "does erasing change it?", erased=True, seeds=3
        ),
        Variant(
            "V12", "heads shown where to look", "does pointing change it?", pointing=True, seeds=3
        ),
        Variant("V14", "raster with shuffled names", "is it copying alone?", "shuffled", seeds=3),
        Variant("V15", "raster with distractors", "is it naming alone?", "distracted", seeds=3),
        Variant(
            "V16",
            "things erased, heads shown where to look",
            "do both together change it?",
            erased=True,
            pointing=True,
            seeds=3,
        ),
    )
}
"""Every variant by its name. V9 with registers is not among them: it needs a tower that was trained
with registers, and all of these stand behind the reference's."""
