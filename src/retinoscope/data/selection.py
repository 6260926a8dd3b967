"""Choose the objects to study: the paper's filter, its parameters, and why the rest was left."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from retinoscope.data.samples import Annotation, Dataset, Sample
from retinoscope.errors import DataError

Candidate = tuple[Sample, Annotation]
"""An object that may be measured, and the image that it is in."""


@dataclass(frozen=True)
class Filter:
    """Which objects are studied; the defaults are the paper's (section 3.1), None is no bound.

    The original code also counts crowd regions among the annotations of an image and may choose
    one; here they count, since they are objects in the picture, but are never chosen.

    Attributes:
        min_area, max_area: the object's area in pixels of the original image, both excluded as
            in the original code; min_area under max_area.
        max_annotations: images with more annotations are left out.
        unique_class: the object's class must appear once in its image.
        one_per_image: take the first fitting object of an image only, as the original code does,
            so that objects are independent; else all of them.

    Raises:
        DataError: a bound is out of its range.
    """

    min_area: float = 1000
    max_area: float | None = 2000
    max_annotations: int | None = 3
    unique_class: bool = True
    one_per_image: bool = True

    def __post_init__(self) -> None:
        top = math.inf if self.max_area is None else self.max_area
        most = 1 if self.max_annotations is None else self.max_annotations
        if not (self.min_area < top and most >= 1):
            raise DataError(
                "A filter needs min_area under max_area, and max_annotations of at least 1; got "
                f"{self}."
            )


PAPER_FILTER = Filter()
"""Small objects in images with few of them, for COCO."""

ANY_SIZE = Filter(min_area=0, max_area=None, max_annotations=None)
"""For a folder of one's own, whose objects are there because they are to be studied."""

EMBEDDED_FILTER = Filter(min_area=256, max_area=4096, one_per_image=False)
"""For the embedded scenes, 192 x 192 pixels with patches of 16: from one patch's area to sixteen
patches' of the 144, so that outside the object and its buffer enough tokens are left for a
random set of the same size."""


@dataclass(frozen=True)
class Selection:
    """What a filter kept and left.

    Attributes:
        candidates: the objects chosen, in an order that depends on the seed alone.
        kept: how many fitted, before `limit`.
        left: how many objects were left out, by reason, for the report.
    """

    candidates: tuple[Candidate, ...]
    kept: int
    left: dict[str, int]


def select(
    dataset: Dataset,
    chosen: Filter = PAPER_FILTER,
    *,
    limit: int | None = None,
    seed: int = 0,
) -> Selection:
    """Apply a filter to every object of a data set.

    The candidates are shuffled by the seed, each by itself, so that a larger `limit` begins with
    the candidates of a smaller one, and more data don't reorder what was there.

    Args:
        dataset: the data.
        chosen: which objects to keep.
        limit: return at most this many candidates; None for all.
        seed: of the order.

    Raises:
        DataError: the filter keeps nothing, or the limit is not positive.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit {limit}: expected at least 1, or none.")
    left: Counter[str] = Counter()
    candidates = [
        candidate for sample in dataset.samples for candidate in _fitting(sample, chosen, left)
    ]
    if not any(sample.annotations for sample in dataset.samples):
        raise DataError(
            f"{dataset.name}: none of its images has annotated objects, which experiments measure. "
            "Give data that have some (docs/data.md; of VSR, POPE, TallyQA and What'sUp "
            "put COCO's annotations/instances*.json into their folder; to items of What'sUp's own "
            "pictures add `objects`), or look at one image by `retinoscope look`."
        )
    if not candidates:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left.most_common())
        raise DataError(
            f"{dataset.name}: no object fits the filter {chosen} ({reasons}). Widen the filter, or "
            "give other data."
        )
    candidates = shuffled(candidates, seed)
    return Selection(tuple(candidates[:limit]), len(candidates), dict(left))


def _fitting(sample: Sample, chosen: Filter, left: Counter[str]) -> Iterator[Candidate]:
    """The sample's fitting objects; counts the others' reasons into `left`."""
    seen = Counter(item.class_name for item in sample.annotations)
    found = False
    for item in sample.annotations:
        reason = _misfit(sample, item, seen, chosen)
        if reason is None and found and chosen.one_per_image:
            reason = "another object of the image chosen"
        if reason is None:
            found = True
            yield sample, item
        else:
            left[reason] += 1


def _misfit(sample: Sample, item: Annotation, seen: Counter[str], chosen: Filter) -> str | None:
    """The first reason to leave an object out, None if it fits."""
    if chosen.max_annotations is not None and len(sample.annotations) > chosen.max_annotations:
        return f"more than {chosen.max_annotations} annotations in the image"
    if item.crowd:
        return "crowd region"
    if item.area <= chosen.min_area:
        return f"area not over {chosen.min_area:g} px"
    if chosen.max_area is not None and item.area >= chosen.max_area:
        return f"area not under {chosen.max_area:g} px"
    if chosen.unique_class and seen[item.class_name] > 1:
        return "class appears more than once"
    return None


def shuffled(candidates: Iterable[Candidate], seed: int) -> list[Candidate]:
    """Candidates in an order that depends on the seed, each by itself."""

    def key(candidate: Candidate) -> bytes:
        text = f"{seed}:{candidate[0].image_id}:{candidate[1].object_id}"
        return hashlib.blake2b(text.encode(), digest_size=8).digest()

    return sorted(candidates, key=key)
