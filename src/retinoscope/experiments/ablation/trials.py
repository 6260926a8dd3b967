"""Trials: every ablation that one task is measured under, each with its selection and value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.errors import RunError
from retinoscope.experiments.ablation.prompts import Prompted
from retinoscope.experiments.ablation.ranking import gradient_ranking
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.selections import (
    Missing,
    Selection,
    gradient_selections,
    matched_selections,
    noise_seed,
    object_selections,
    object_tokens,
    random_selections,
    register_selection,
)
from retinoscope.experiments.settings import VALUES, Settings
from retinoscope.experiments.target import Target
from retinoscope.interventions import Ablate, Condition, Noise
from retinoscope.tasks import Query

CONTROL_SELECTIONS = ("object", "object+1")
"""The "no" control is measured with these and their matched random sets."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One ablation: the selection, the kind of value, and the condition."""

    selection: Selection
    value: str
    condition: Condition

    @property
    def controls(self) -> bool:
        """Whether the "no" control is measured under it too."""
        chosen = self.selection
        return chosen.name in CONTROL_SELECTIONS or chosen.matched in CONTROL_SELECTIONS


@dataclass(frozen=True, eq=False)
class Trials:
    """The ablations that can be had, and those that can't."""

    ready: tuple[Trial, ...]
    missing: tuple[Missing, ...] = ()

    def __add__(self, more: Trials) -> Trials:
        """These, then more."""
        return Trials(self.ready + more.ready, self.missing + more.missing)


def planned(
    prompted: Sequence[Prompted],
    target: Target,
    donated: Tensor | None,
    settings: Settings,
    own: AblationSettings,
) -> Iterator[Trials]:
    """The trials of each task; tasks share those that are alike, as the same conditions.

    Args:
        prompted: the tasks, their prompts recorded.
        target: the object.
        donated: visual tokens of another image, for "resampled"; None where there is none.
        settings: buffers and values.
        own: sizes, registers and gradients.
    """
    common: dict[tuple[int, ...], Trials] = {}
    for one in prompted:
        visual = one.probed.encoded.layout.visual
        if visual not in common:
            common[visual] = common_trials(one.probed, target, donated, settings, own)
        trials = common[visual]
        if one.query.control:
            first = settings.values[0]
            yield Trials(tuple(t for t in trials.ready if t.controls and t.value == first))
        else:
            query = one.probe or one.query
            yield trials + gradient_trials(one.probed, target, query, donated, settings, own)


def common_trials(
    recording: Recording,
    target: Target,
    donated: Tensor | None,
    settings: Settings,
    own: AblationSettings,
) -> Trials:
    """The ablations that are the same for every question: object, register tokens, random ones.

    Args:
        recording: a clean run of the image, with any question.
        target: the object.
        donated: visual tokens of another image, for "resampled"; None where there is none.
        settings: buffers and values.
        own: sizes and registers.

    Raises:
        SelectionError: the object lies outside the part of the image that the model sees.
    """
    tokens = object_tokens(recording.encoded.layout, target.mask, settings)
    objects = object_selections(tokens, settings)
    object_id = target.annotation.object_id
    chosen = [
        *objects,
        register_selection(recording, own.register_deviations),
        *random_selections(tokens.layout, object_id, own.sizes, settings),
        *matched_selections(objects, object_id, settings),
    ]
    return _made(chosen, donated, target, settings)


def gradient_trials(
    recording: Recording,
    target: Target,
    query: Query,
    donated: Tensor | None,
    settings: Settings,
    own: AblationSettings,
) -> Trials:
    """The ablations of the tokens with the highest integrated gradients for the query's answer.

    Where the model's layers can't be replayed there are none.
    """
    ranked = gradient_ranking(recording, target, query, settings, own)
    if isinstance(ranked, Missing):
        return Trials((), (ranked,))
    tokens = object_tokens(recording.encoded.layout, target.mask, settings)
    objects = object_selections(tokens, settings)
    return _made(gradient_selections(ranked, objects, own.sizes), donated, target, settings)


def _made(
    selections: Sequence[Selection | Missing],
    donated: Tensor | None,
    target: Target,
    settings: Settings,
) -> Trials:
    ready: list[Trial] = []
    missing = [one for one in selections if isinstance(one, Missing)]
    for selection in selections:
        if isinstance(selection, Missing):
            continue
        for value in settings.values if _every_value(selection) else settings.values[:1]:
            replaced = _condition(selection, value, donated, target, settings)
            if isinstance(replaced, Missing):
                missing.append(replaced)
            else:
                ready.append(Trial(selection, value, replaced))
    return Trials(tuple(ready), tuple(missing))


def _every_value(selection: Selection) -> bool:
    """Object selections and their matched random sets are measured with every value."""
    return selection.name.startswith("object") or (
        selection.name == "random" and bool(selection.matched)
    )


def _condition(
    selection: Selection, value: str, donated: Tensor | None, target: Target, settings: Settings
) -> Condition | Missing:
    """The ablation; of an image without such tokens (registers) the clean run."""
    if not selection.tokens:
        return ()
    replaced = _ablate(selection, value, donated, target, settings)
    return replaced if isinstance(replaced, Missing) else (replaced,)


def _ablate(
    selection: Selection, value: str, donated: Tensor | None, target: Target, settings: Settings
) -> Ablate | Missing:
    # Positions, since one set is replaced under every prompt about the image: the original's span,
    # which is one too long, holds the text token behind the image too.
    positions = sorted(selection.tokens.positions)
    match value:
        case "mean" | "zero":
            return Ablate(positions, value)
        case "noise":
            return Ablate(
                positions, Noise(noise_seed(selection, target.annotation.object_id, settings))
            )
        case "resampled":
            visual = selection.tokens.layout.visual
            if donated is None:
                return Missing(f"{selection.name} resampled", "there is no other image to take")
            if len(donated) != len(visual):
                reason = f"the other image has {len(donated)} visual tokens, this one {len(visual)}"
                return Missing(f"{selection.name} resampled", reason)
            index = {position: i for i, position in enumerate(visual)}
            return Ablate(positions, donated[torch.tensor([index[p] for p in positions])])
        case other:
            raise RunError(f"No value {other!r} is known; choose from {', '.join(VALUES)}.")
