"""Score: POPE or CHAIR over a data set, on the clean run and under interventions, compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from retinoscope.api import VLM, yes
from retinoscope.brief import brief_fields
from retinoscope.data import Dataset, Sample, load_image
from retinoscope.errors import DataError, RetinoscopeError
from retinoscope.runs import Progress, Silent
from retinoscope.scoring.expression import Expression
from retinoscope.scoring.mentions import mentions
from retinoscope.scoring.metrics import compared, measured
from retinoscope.scoring.polls import Absent, polls_of
from retinoscope.tasks.describe import QUESTION

CLEAN = "clean"
TASKS = ("pope", "chair")


@dataclass(frozen=True, eq=False)
class Scored:
    """How a model did, on the clean run and under each condition.

    Attributes:
        task: "pope" or "chair".
        data: the data set's name.
        images: how many images were asked about.
        metrics: a row for each condition and metric: value, low and high (95 %), n.
        paired: a row for each condition: the same cases against the clean run, with McNemar's p.
        items: a row for each condition and question or caption.
        skipped: why some images were left out, of every condition alike.
    """

    task: str
    data: str
    images: int
    metrics: pl.DataFrame
    paired: pl.DataFrame
    items: pl.DataFrame
    skipped: tuple[str, ...]

    __repr__ = brief_fields

    def frame(self) -> pl.DataFrame:
        """The metrics: condition, metric, value, low, high, n."""
        return self.metrics


Rows = list[dict[str, Any]]
Ask = Callable[[VLM, Sample, Sequence[Expression]], Rows]


def score(
    vlm: VLM,
    dataset: Dataset,
    task: str = "pope",
    conditions: Sequence[Expression] = (),
    *,
    limit: int | None = 100,
    absent: Absent = "random",
    max_new_tokens: int = 64,
    seed: int = 0,
    progress: Progress | None = None,
) -> Scored:
    """Ask about the objects of a data set's images, or have them described, and score the answers.

    "pope": is there a dog? The answer is yes where "yes" is likelier than "no" as the first token.
    "chair": "Describe this image."; which things of the data's classes are named, and which of
    these are not there. Only what the data annotate counts as there.

    Args:
        vlm: the model.
        dataset: images with objects (`retinoscope.data.open_data`), or POPE's own questions.
        task: "pope" or "chair".
        conditions: interventions as text, see `parse`; each is compared with the clean run.
        limit: most images, drawn at random; None is all.
        absent: how POPE's absent things are chosen: "random", "popular", "adversarial".
        max_new_tokens: the longest caption.
        seed: of the images and of absent things.
        progress: told of the images.

    Raises:
        DataError: there is no such task, or no image that can be asked about.
    """
    asks: Mapping[str, Ask] = {
        "pope": partial(_polled, dataset=dataset, absent=absent, seed=seed),
        "chair": partial(_described, classes=dataset.categories, max_new_tokens=max_new_tokens),
    }
    if task not in asks:
        raise DataError(f"There is no task {task!r} to score; there are {', '.join(asks)}.")
    order = np.random.default_rng(seed).permutation(len(dataset.samples))[:limit]
    progress = progress or Silent()
    progress.stage(task, len(order))
    rows: Rows = []
    skipped: list[str] = []
    for done, number in enumerate(sorted(order.tolist()), 1):
        sample = dataset.samples[number]
        try:
            rows += asks[task](vlm, sample, conditions)
        except RetinoscopeError as error:
            skipped.append(f"image {sample.image_id}: {error}")
        progress.step(done)
    if not rows:
        why = f" The first: {skipped[0]}" if skipped else ""
        raise DataError(f"No image of {dataset.name} could be scored for {task}.{why}")
    items = pl.DataFrame(rows, infer_schema_length=None)
    names = [CLEAN, *(one.text for one in conditions)]
    images = items["image"].n_unique()
    return Scored(
        task,
        dataset.name,
        images,
        measured(items, task, names),
        compared(items, task, names),
        items,
        tuple(skipped),
    )


def _polled(
    vlm: VLM,
    sample: Sample,
    conditions: Sequence[Expression],
    *,
    dataset: Dataset,
    absent: Absent,
    seed: int,
) -> Rows:
    """The yes and no about one image, a row for each condition and question."""
    rows: Rows = []
    for poll in polls_of(sample, dataset, vlm.checkpoint.tokenizer, absent, seed):
        view = vlm.look(load_image(sample), poll.question, max_new_tokens=0)
        leaning = yes(view, [(), *(one.on(view, sample) for one in conditions)])
        for name, odds in zip(_names(conditions), leaning.log_odds.tolist(), strict=True):
            rows.append(
                {
                    "condition": name,
                    "image": sample.image_id,
                    "question": poll.question,
                    "class_name": poll.class_name,
                    "present": poll.present,
                    "yes": odds > 0,
                    "log_odds": odds,
                    "right": (odds > 0) == poll.present,
                }
            )
    return rows


def _described(
    vlm: VLM,
    sample: Sample,
    conditions: Sequence[Expression],
    *,
    classes: Sequence[str],
    max_new_tokens: int,
) -> Rows:
    """The captions of one image, a row for each condition."""
    view = vlm.look(load_image(sample), QUESTION, max_new_tokens=max_new_tokens)
    texts = view.answers([(), *(one.on(view, sample) for one in conditions)])
    present = sorted({one.class_name for one in sample.annotations})
    rows: Rows = []
    for name, text in zip(_names(conditions), texts, strict=True):
        found = mentions(text, present, classes)
        rows.append(
            {
                "condition": name,
                "image": sample.image_id,
                "caption": text,
                "named": len(found.right) + len(found.wrong),
                "hallucinated": len(found.wrong),
                "wrong": ", ".join(found.wrong),
                "present": len(present),
                "recalled": len(found.right),
                "right": not found.wrong,
            }
        )
    return rows


def _names(conditions: Sequence[Expression]) -> Iterator[str]:
    yield CLEAN
    yield from (one.text for one in conditions)
