"""Refinement: do visual tokens come to decode to the word of what they show?

Paper, section 4: the residual stream of each visual token through the final norm and the
unembedding, at every layer.
"""

from __future__ import annotations

import numpy as np

from retinoscope.engine import look
from retinoscope.errors import SelectionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.lens.records import LensRecord
from retinoscope.experiments.lens.sheets import covered
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target
from retinoscope.lens import LensReading, read_lens
from retinoscope.models import Checkpoint
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import Record
from retinoscope.tasks import first_tokens, piece_tokens, word_forms
from retinoscope.tasks.describe import QUESTION
from retinoscope.tokens import TokenLayout, TokenSet, under, visual


def measure(bench: Bench[OwnSettings], target: Target) -> list[Record]:
    """The lens of one object's image."""
    return [*lens(bench.checkpoint, target, bench.settings)]


def lens(checkpoint: Checkpoint, target: Target, settings: Settings) -> list[LensRecord]:
    """Read every visual token of one image at every layer, on the object and on the background.

    Background patches touch no annotated object of the image; the same word is looked for there.

    Raises:
        SampleError, SelectionError, TokenMapError: this object can't be measured.
        ModelError: this model can't be.
    """
    recording = look(checkpoint, target.image, QUESTION)
    layout = recording.encoded.layout
    strict = set(first_tokens(checkpoint.tokenizer, [target.class_name]))
    lenient = set(piece_tokens(checkpoint.tokenizer, word_forms(target.class_name))) | strict
    regions = {"object": object_tokens(layout, target.mask, settings)}
    regions["background"] = visual(layout) - _anything(target, layout) - regions["object"]
    if not strict:
        raise SelectionError(f"The tokenizer can't spell {target.class_name!r}.")
    records: list[LensRecord] = []
    for region, tokens in regions.items():
        if tokens:
            reading = read_lens(
                recording,
                tokens,
                k=1,
                tracked=sorted(strict),
                norm_last_twice=settings.protocol.double_norm,
            )
            records += _records(target, region, reading, strict, lenient)
    return records


def _records(
    target: Target, region: str, reading: LensReading, strict: set[int], lenient: set[int]
) -> list[LensRecord]:
    top = reading.ids[..., 0].numpy()
    is_strict, is_lenient = np.isin(top, list(strict)), np.isin(top, list(lenient))
    best = reading.log_probability.max(0).values
    rank = reading.rank.min(0).values.float()
    return [
        LensRecord(
            image_id=target.sample.image_id,
            object_id=target.annotation.object_id,
            class_name=target.class_name,
            region=region,
            layer=layer,
            patches=top.shape[1],
            strict=int(is_strict[layer].sum()),
            lenient=int(is_lenient[layer].sum()),
            rank=float(rank[layer].mean()),
            log_probability=float(best[layer].mean()),
            entropy=float(reading.entropy[layer].mean()),
        )
        for layer in range(top.shape[0])
    ]


def _anything(target: Target, layout: TokenLayout) -> TokenSet:
    """Visual tokens that touch any annotated object of the image."""
    found = under(layout, target.mask)
    for annotation in target.sample.annotations:
        touched = covered(target, annotation, layout, Settings())
        found = found if touched is None else found | touched
    return found
