"""Every score of one item's visual tokens, and the order that it puts them in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution import (
    ablation_effects,
    alti,
    attention_rollout,
    attention_sinks,
    attribution_patching,
    chefer_relevance,
    gradient_x_input,
    raw_attention,
    value_zeroing,
)
from retinoscope.errors import InterventionError, ModelError
from retinoscope.experiments.flow.item import Item

Scored = Mapping[str, Float[Tensor, " tokens"]]

PROBED = ("value zeroing", "measured alone")
"""Scores that take a run for every token."""


def scores(
    item: Item, random: np.random.Generator, *, probed: bool, value: str
) -> tuple[Scored, Mapping[str, str]]:
    """The scores by name, and why others can't be had of this model.

    Args:
        item: the question and its clean run.
        random: for the random order and the shuffled layers.
        probed: whether those that take a run for every token are wanted.
        value: what stands in an ablated token's place, for the effects measured alone.
    """
    found: dict[str, Tensor] = {}
    missing: dict[str, str] = {}
    for name, score in _scores(item, random, value).items():
        if name in PROBED and not probed:
            continue
        try:
            found[name] = score()
        except (ModelError, InterventionError) as error:
            missing[name] = str(error)
    return found, missing


def _scores(
    item: Item, random: np.random.Generator, value: str
) -> dict[str, Callable[[], Float[Tensor, " tokens"]]]:
    recording, difference = item.recording, item.contrast.difference
    shuffled = random.permutation(recording.layer_count).tolist()
    drawn = torch.from_numpy(random.random(len(item.visual))).float()
    on_object = torch.tensor([float(position in item.tokens) for position in item.visual])
    text = recording.layout.text

    def without_sinks(more: Sequence[int] = ()) -> Tensor:
        return attention_rollout(recording, without=[*attention_sinks(recording), *more])

    return {
        "raw attention": lambda: raw_attention(recording),
        "raw attention of the question too": lambda: raw_attention(recording, asking(item)),
        "rollout": lambda: attention_rollout(recording),
        "ALTI": lambda: alti(recording),
        "Chefer": lambda: chefer_relevance(recording, difference),
        "value zeroing": lambda: value_zeroing(recording),
        "gradient x input": lambda: gradient_x_input(recording, difference),
        "attribution patching": lambda: attribution_patching(
            recording, difference, _zero(item) if value == "zero" else None
        ),
        "measured alone": lambda: ablation_effects(recording, difference, value),
        "object mask": lambda: on_object,
        "random": lambda: drawn,
        "rollout without sinks": without_sinks,
        "rollout without sinks and text": lambda: without_sinks(text),
        "rollout without residual": lambda: attention_rollout(recording, residual=0),
        "rollout, layers shuffled": lambda: attention_rollout(recording, order=shuffled),
    }


def asking(item: Item) -> tuple[int, ...]:
    """The question and the last position: everything behind the last visual token."""
    return tuple(range(max(item.visual) + 1, item.recording.length))


def _zero(item: Item) -> Float[Tensor, " width"]:
    return torch.zeros_like(item.recording.residual(0)[0])


def ordered(
    values: Float[Tensor, " tokens"], positions: Sequence[int], random: np.random.Generator
) -> list[int]:
    """Positions by score, the highest first; equal ones in random order."""
    chance = random.random(len(positions))
    return [positions[index] for index in np.lexsort((chance, -values.double().numpy()))]


def mass(values: Float[Tensor, " tokens"], chosen: Sequence[bool]) -> float | None:
    """The share of a score's positive part that lies on some of its tokens; None without any."""
    positive = values.double().clamp(min=0)
    total = float(positive.sum())
    return float(positive[list(chosen)].sum()) / total if total > 0 else None
