"""POPE (arXiv 2305.10355): yes/no questions about things that are in an image, and that are not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from retinoscope.data import Dataset, Sample
from retinoscope.errors import DataError
from retinoscope.experiments.target import random_source
from retinoscope.tasks import poll

Absent = Literal["random", "popular", "adversarial"]
ABSENT: tuple[Absent, ...] = ("random", "popular", "adversarial")

EACH = 3
"""Things that are there, and things that are not, asked about in each image (POPE, section 4)."""


@dataclass(frozen=True)
class Poll:
    """One question.

    Attributes:
        class_name: the thing; "" where the data's question does not say.
        question: as it is asked.
        present: whether "yes" is right.
    """

    class_name: str
    question: str
    present: bool


def polls_of(
    sample: Sample, dataset: Dataset, tokenizer: Any, absent: Absent = "random", seed: int = 0
) -> list[Poll]:
    """The questions about one image: the data's own (POPE's files), else made from its objects.

    As many things that are not there are asked about as things that are: drawn at random, the most
    frequent ones of the data ("popular"), or those that most often stand beside what is there
    ("adversarial").

    Raises:
        DataError: there is no such way to choose what is absent.
    """
    if absent not in ABSENT:
        raise DataError(f"Absent things are {', '.join(ABSENT)}; got {absent!r}.")
    own = [one for one in sample.questions if one.kind == "poll" and one.answer in ("Yes", "No")]
    if own:
        return [
            Poll(one.steps[0].argument if one.steps else "", one.text, one.answer == "Yes")
            for one in own
        ]
    here = sorted({one.class_name for one in sample.annotations})
    others = [name for name in dataset.categories if name not in here]
    drawn = random_source(seed, sample.image_id, "polls")
    there = [str(one) for one in drawn.permutation(here)[:EACH]]
    if absent == "random":
        chosen = [str(one) for one in drawn.permutation(others)]
    else:
        counts = _beside(dataset, {*here}) if absent == "adversarial" else _beside(dataset, None)
        chosen = sorted(others, key=lambda name: (-counts[name], name))
    pairs = [(name, True) for name in there] + [(name, False) for name in chosen[: len(there)]]
    return [Poll(name, poll(name, tokenizer).question, present) for name, present in pairs]


def _beside(dataset: Dataset, here: set[str] | None) -> Counter[str]:
    """In how many images each class is; of `here`, only in images that hold one of these."""
    counts: Counter[str] = Counter()
    for sample in dataset.samples:
        classes = {one.class_name for one in sample.annotations}
        if here is None or classes & here:
            counts.update(classes)
    return counts
