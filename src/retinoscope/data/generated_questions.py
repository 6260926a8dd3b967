"""Questions for data that bring none: what stands where, from the objects' boxes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from retinoscope.data.samples import Annotation, Dataset, Question, Sample
from retinoscope.data.selection import Candidate

SIDES = ("to the left of", "to the right of", "above", "below")


def with_questions(dataset: Dataset, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates, with generated questions where the data set has no question at all.

    A data set that asks about some of its images keeps its own questions alone, so that written
    and generated ones never stand in one number.
    """
    if any(sample.questions for sample in dataset.samples):
        return tuple(candidates)
    return tuple(
        (replace(sample, questions=generated_questions(sample, item)), item)
        for sample, item in candidates
    )


def generated_questions(sample: Sample, item: Annotation) -> tuple[Question, ...]:
    """Questions whose answer is this object as far as the annotations tell.

    "What is to the left of the dog?", where the image holds one dog, the object lies wholly to
    its left, and no other annotated object does; so for the four sides and every other object.
    Things that nobody annotated may lie there too: the paper's questions were written by people,
    and these are weaker.

    Args:
        sample: the image.
        item: the object that is the answer; none is asked about a crowd.
    """
    seen = Counter(other.class_name for other in sample.annotations)
    found: list[Question] = []
    for landmark in sample.annotations:
        if landmark.class_name == item.class_name or seen[landmark.class_name] > 1:
            continue
        for side in SIDES:
            there = [
                other
                for other in sample.annotations
                if other is not landmark and _lies(other, side, landmark)
            ]
            if len(there) == 1 and there[0].object_id == item.object_id and not item.crowd:
                text = f"What is {side} the {landmark.class_name}?"
                found.append(
                    Question(text, "", item.class_name, "relation", object_id=item.object_id)
                )
    return tuple(found)


def _lies(item: Annotation, side: str, landmark: Annotation) -> bool:
    """Whether the whole box lies on that side of the landmark's, and beside it, not askew."""
    left, top, width, height = item.box
    x, y, wide, high = landmark.box
    across = left < x + wide and x < left + width
    level = top < y + high and y < top + height
    match side:
        case "to the left of":
            return level and left + width <= x
        case "to the right of":
            return level and left >= x + wide
        case "above":
            return across and top + height <= y
        case _:
            return across and top >= y + high
