"""What patches decode to, against the null of other images' classes and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from retinoscope.data import Sample
from retinoscope.data.selection import Candidate
from retinoscope.engine import Recording, look
from retinoscope.errors import SelectionError
from retinoscope.experiments.globals.records import ReadRecord
from retinoscope.experiments.objects import Scene
from retinoscope.experiments.placing import count_tokens
from retinoscope.experiments.replacing import replaced, values_at_hand
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target, random_source
from retinoscope.lens import LensReading, read_changed, read_lens
from retinoscope.tasks import describe, first_tokens, word_forms
from retinoscope.tokens import TokenSet

NULLS = 16
"""Most other images whose classes stand for chance."""

NUMBERS = range(6)
"""Numbers that have a word here."""

SCENE_WORDS = (
    *("sky", "grass", "water", "sea", "road", "street", "floor", "wall", "ground", "soil"),
    *("sand", "snow", "building", "house", "room", "kitchen", "garden", "park", "beach", "field"),
    *("forest", "mountain", "table"),
)
"""Words of scenes and of what backgrounds are made of; class names of the data are left out."""


@dataclass(frozen=True, eq=False)
class Words:
    """First tokens of what patches may decode to.

    Attributes:
        present: of the image's classes.
        absent: of the data's other classes.
        number: of the number of the image's objects; empty where it has no word.
        wrong: of other numbers.
        scene: of scenes.
        others: of the classes of each other image.
        other_numbers: of the number of each other image's objects.
    """

    present: frozenset[int]
    absent: frozenset[int]
    number: frozenset[int]
    wrong: frozenset[int]
    scene: frozenset[int]
    others: tuple[frozenset[int], ...]
    other_numbers: tuple[frozenset[int], ...]


def words(
    sample: Sample, others: Sequence[Sample], categories: Sequence[str], tokenizer: Any
) -> Words:
    """What an image's patches may decode to.

    Args:
        sample: the image.
        others: other images, whose classes and numbers stand for chance.
        categories: every class of the data.
        tokenizer: the model's.
    """

    def of(names: Sequence[str]) -> frozenset[int]:
        forms = [form for name in names for form in word_forms(name)]
        return frozenset(first_tokens(tokenizer, forms))

    def number(count: int) -> frozenset[int]:
        return frozenset(count_tokens(count, tokenizer))

    present = of(class_names(sample))
    every = of(categories)
    right = number(len(sample.annotations))
    numbers = frozenset().union(*(number(count) for count in NUMBERS))
    return Words(
        present=present,
        absent=every - present,
        number=right,
        wrong=numbers - right,
        scene=of(SCENE_WORDS) - every - present,
        others=tuple(of(class_names(other)) for other in others),
        other_numbers=tuple(number(len(other.annotations)) for other in others),
    )


def class_names(sample: Sample) -> list[str]:
    """The classes of an image, each once, sorted."""
    return sorted({one.class_name for one in sample.annotations})


def other_samples(target: Target, candidates: Sequence[Candidate], seed: int) -> list[Sample]:
    """Other images with as many classes, at random, so that the classes' priors are equal.

    Args:
        target: whose image it is.
        candidates: of the run.
        seed: of the choice.

    Returns:
        At most NULLS of them.
    """
    own = target.sample
    wanted = len(class_names(own))
    fitting = {
        sample.image_id: sample
        for sample, _ in candidates
        if sample.image_id != own.image_id and len(class_names(sample)) == wanted
    }
    ordered = [fitting[i] for i in sorted(fitting)]
    drawn = random_source(seed, target.annotation.object_id, "null").permutation(len(ordered))
    return [ordered[i] for i in drawn[:NULLS]]


def erased_run(
    recording: Recording, target: Target, scene: Scene
) -> tuple[Recording | None, list[tuple[str, str]]]:
    """A run on the image with the objects' pixels erased; or None, and (condition, reason)."""
    try:
        image = erase(target.image, scene)
    except SelectionError as error:
        return None, [("pixels erased", str(error))]
    return look(recording.checkpoint, image, describe("").question), []


def read(
    recording: Recording,
    erased: Recording | None,
    target: Target,
    scene: Scene,
    wanted: Words,
    settings: Settings,
) -> tuple[list[ReadRecord], list[tuple[str, str]]]:
    """What the far background, and the objects, decode to: clean, and with the objects erased.

    Args:
        recording: a clean run on the image.
        erased: of `erased_run`.
        target: whose image it is.
        scene: its objects.
        wanted: what is looked for.
        settings: the first value that needs no other image stands in the objects' place.

    Returns:
        The records, and (condition, reason) of what could not be measured.
    """
    objects = ~scene.background
    regions = {"far background": far(scene), "object": objects}
    regions = {name: tokens for name, tokens in regions.items() if tokens}
    found: list[ReadRecord] = []
    skipped: list[tuple[str, str]] = []
    if "far background" not in regions:
        skipped.append(("far background", "no patch lies 2 or more from every object"))
    value, own = values_at_hand(settings)[0], target.annotation.object_id
    condition = (replaced(objects.dilate(1), value, settings, own, "objects"),)
    for region, tokens in regions.items():
        readings: dict[str, LensReading] = {
            "clean": read_lens(recording, tokens, k=1),
            "tokens": read_changed(recording, condition, tokens, k=1),
        }
        if erased is not None:
            readings["pixels"] = read_lens(erased, tokens, k=1)
        for state, reading in readings.items():
            found += _records(reading, state, region, target, wanted)
    return found, skipped


def far(scene: Scene) -> TokenSet:
    """Patches 2 or more from any object."""
    return ~(~scene.background).dilate(1)


def erase(image: Image.Image, scene: Scene) -> Image.Image:
    """The image with every object's box painted in the background's mean colour.

    The box, not the outline, which would go on showing what stood there.

    Raises:
        SelectionError: nothing of the image is background.
    """
    pixels = np.array(image.convert("RGB"))
    covered = np.zeros(pixels.shape[:2], bool)
    for thing in scene.things.values():
        left, top, right, bottom = (round(edge) for edge in thing.box)
        covered[max(top, 0) : bottom, max(left, 0) : right] = True
    if covered.all():
        raise SelectionError("the objects' boxes cover the whole image")
    pixels[covered] = pixels[~covered].mean(0).round().astype(np.uint8)
    return Image.fromarray(pixels)


def _records(
    reading: LensReading, state: str, region: str, target: Target, wanted: Words
) -> list[ReadRecord]:
    found = []
    for layer, ids in enumerate(reading.ids[:, :, 0].tolist()):
        patches = len(ids)

        def share(tokens: frozenset[int], ids: list[int] = ids) -> float:
            return sum(token in tokens for token in ids) / len(ids)

        found.append(
            ReadRecord(
                image_id=target.sample.image_id,
                object_id=target.annotation.object_id,
                state=state,
                region=region,
                layer=layer,
                patches=patches,
                present=share(wanted.present),
                present_null=_mean([share(one) for one in wanted.others]),
                absent=share(wanted.absent),
                number=share(wanted.number),
                number_null=_mean([share(one) for one in wanted.other_numbers]),
                wrong_number=share(wanted.wrong),
                scene=share(wanted.scene),
            )
        )
    return found


def _mean(shares: list[float]) -> float | None:
    return sum(shares) / len(shares) if shares else None
