"""Several objects of one image: leakage between them, and exchanges of their tokens."""

from __future__ import annotations

from retinoscope.engine import look
from retinoscope.errors import SampleError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.objects import scene_of
from retinoscope.experiments.pairs.leakage import chosen_pairs, leakage
from retinoscope.experiments.pairs.settings import PairsSettings
from retinoscope.experiments.pairs.swaps import swaps
from retinoscope.experiments.target import Target, skip
from retinoscope.results.records import Record
from retinoscope.tasks import describe


def measure(bench: Bench[PairsSettings], target: Target) -> list[Record]:
    """The pairs of objects of one object's image, whichever of them it is.

    What is measured is the image's: several objects of one image give the same records.

    Raises:
        SampleError: the image holds fewer than two objects that can be used.
        TokenMapError, ModelError: this model can't be measured.
    """
    question = describe(target.class_name).question
    recording = look(bench.checkpoint, target.image, question)
    scene, unusable = scene_of(recording, target.sample, bench.settings)
    if len(scene.things) < 2:
        raise SampleError(
            "pairs need an image with two or more objects that can be told apart; it has "
            f"{len(scene.things)}"
        )
    pairs = chosen_pairs(scene, bench.settings.seed, bench.own.most_pairs)
    leaked, missing = leakage(bench, target, scene, pairs)
    swapped, unswapped = swaps(bench, target, scene, pairs)
    skipped = [(f"object {one}", reason) for one, reason in unusable] + missing + unswapped
    return [*leaked, *swapped, *(skip("pairs", target, *one) for one in skipped)]
