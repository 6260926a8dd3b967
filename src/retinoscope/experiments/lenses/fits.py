"""The lenses of a run, fitted once on images that are not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retinoscope.data import Sample
from retinoscope.errors import SampleError, SelectionError, TokenMapError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.lenses.examples import example, words_of
from retinoscope.experiments.once import OnceForRun
from retinoscope.lens import KINDS, FittedLens, model_key
from retinoscope.lens.fitted import finite
from retinoscope.lens.fitting import State, fitting
from retinoscope.results.own_settings import OwnSettings

IMAGES = 40
"""Images that lenses are fitted on, at most half of the run's candidates."""

FEW = {"jacobian": 6}
"""Of them fewer for a lens that takes a backward pass for every word."""


@dataclass(frozen=True, eq=False)
class Fits:
    """Lenses and what they were fitted on.

    Attributes:
        words: class name -> its word's first token.
        lenses: by kind.
        images: ids of the images.
    """

    words: Mapping[str, int]
    lenses: Mapping[str, FittedLens]
    images: frozenset[int]


def kept_images(bench: Bench[OwnSettings]) -> list[Sample]:
    """The images that lenses are fitted on: the last candidates, at most half of them."""
    images = list({sample.image_id: sample for sample, _ in bench.candidates}.values())
    return images[len(images) - min(IMAGES, len(images) // 2) :]


def _fitted(bench: Bench[OwnSettings]) -> Fits:
    """Fit every kind.

    Raises:
        SelectionError: there is no image, or no class that the tokenizer can spell.
    """
    checkpoint = bench.checkpoint
    words = words_of(checkpoint, bench.categories)
    tokens = sorted({*words.values()})
    states: dict[str, State] = {}
    samples = kept_images(bench)
    used = 0
    for turn, sample in enumerate(samples):
        kinds = [kind for kind in KINDS if used < FEW.get(kind, IMAGES)]
        try:
            seen = example(checkpoint, sample, words, turn, kinds)
        except (SampleError, TokenMapError):
            continue
        used += 1
        for kind in kinds:
            method = fitting(kind)
            states[kind] = method.add(
                states.get(kind) or method.begin(seen.recording, tokens), seen
            )
    if not states or not tokens:
        raise SelectionError(
            f"Lenses are fitted on images of the run that are not measured; of {len(samples)} none "
            "could be used, or none of the classes can be spelled. Give data of more images."
        )
    settings = {"model": checkpoint.name, "images": used}
    lenses = {
        kind: FittedLens(
            kind, finite(fitting(kind).finish(state, tokens), kind), model_key(checkpoint), settings
        )
        for kind, state in states.items()
    }
    return Fits(words, lenses, frozenset(sample.image_id for sample in samples))


fits = OnceForRun("lenses-fits", _fitted)
"""The lenses of a run; the last of its candidates' images are kept for them."""
