"""Sets: the tokens of the highest scores deleted, or everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from retinoscope.experiments.flow.item import Item, Run
from retinoscope.experiments.flow.records import CONTROLS, FlowRecord
from retinoscope.experiments.flow.scoring import Scored, mass, ordered
from retinoscope.experiments.selections import fitting_sizes
from retinoscope.interventions import Ablate, Condition, Noise

Replace = Callable[[Sequence[int]], Ablate]
"""An ablation of some positions by one kind of value."""

COMPARED = ("raw attention", "rollout", "random")
"""Scores that are also measured with other values in ablated tokens' place."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One set of tokens ablated.

    Attributes:
        score, direction, value, size: as in FlowRecord.
        condition: what is done.
    """

    score: str
    direction: str
    value: str
    size: int
    condition: Condition


def replacing(
    value: str, seed: int, visual: Sequence[int], donated: Tensor | None
) -> Replace | None:
    """How positions are ablated by one kind of value; None where there is no such value here.

    Args:
        value: "mean", "zero", "noise" or "resampled".
        seed: of the noise.
        visual: positions of the visual tokens.
        donated: visual tokens of another image, for "resampled".
    """
    match value:
        case "noise":
            return lambda positions: Ablate(positions, Noise(seed))
        case "resampled":
            if donated is None or len(donated) != len(visual):
                return None
            place = {position: index for index, position in enumerate(visual)}
            return lambda positions: Ablate(positions, donated[[place[p] for p in positions]])
        case "zero":
            return lambda positions: Ablate(positions, "zero")
        case _:
            return lambda positions: Ablate(positions, "mean")


def trials(
    item: Item,
    scored: Scored,
    sizes: Sequence[int],
    values: dict[str, Replace],
    random: np.random.Generator,
) -> list[Trial]:
    """Every set of one item; the first value with all scores, the others with those COMPARED."""
    first = next(iter(values))
    found: list[Trial] = []
    known: dict[tuple[str, frozenset[int]], Condition] = {}
    for score, numbers in scored.items():
        order = ordered(numbers, item.visual, random)
        for value, replace in values.items():
            if value != first and score not in COMPARED:
                continue
            both = score not in CONTROLS and value == first
            found += _curve(score, value, order, sizes, replace, known, insertion=both)
    return found


def _curve(
    score: str,
    value: str,
    order: Sequence[int],
    sizes: Sequence[int],
    replace: Replace,
    known: dict[tuple[str, frozenset[int]], Condition],
    *,
    insertion: bool,
) -> Iterator[Trial]:
    def without(positions: Sequence[int]) -> Condition:
        """Scores that choose the same tokens share one condition, which is run once."""
        name = value, frozenset(positions)
        if name not in known:
            known[name] = (replace(sorted(positions)),)
        return known[name]

    # With every token gone, or none, there is nothing that an order could be judged by.
    for size in fitting_sizes(sizes, len(order) - 1):
        yield Trial(score, "deletion", value, size, without(order[:size]))
        if insertion:
            yield Trial(score, "insertion", value, size, without(order[size:]))


def set_records(item: Item, scored: Scored, chosen: Sequence[Trial]) -> list[FlowRecord]:
    """Run every set, the clean run's row first."""
    on_object = [position in item.tokens for position in item.visual]
    masses = {score: mass(numbers, on_object) for score, numbers in scored.items()}
    runs = item.runs([trial.condition for trial in chosen])
    return [clean_record(item)] + [
        _record(item, run, masses[trial.score], trial)
        for trial, run in zip(chosen, runs, strict=True)
    ]


def clean_record(item: Item) -> FlowRecord:
    """The clean run's row."""
    return _record(item, item.clean, None, Trial("", "clean", "", 0, ()))


def _record(item: Item, run: Run, on_object: float | None, trial: Trial) -> FlowRecord:
    return FlowRecord(
        image_id=item.target.sample.image_id,
        object_id=item.target.annotation.object_id,
        class_name=item.target.class_name,
        task=item.query.task,
        prompt=item.query.question,
        score=trial.score,
        direction=trial.direction,
        value=trial.value,
        size=trial.size,
        tokens=len(item.visual),
        mass=on_object,
        object_share=len(item.tokens) / len(item.visual),
        clean_ld=item.clean.ld,
        ld=run.ld,
        right=run.right,
        clean_right=item.clean.right,
    )
