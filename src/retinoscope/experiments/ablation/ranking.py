"""Ranking: visual tokens by integrated gradients, as the settings and their protocol say."""

from __future__ import annotations

import torch

from retinoscope.attribution import integrated_gradients
from retinoscope.engine import Recording, look
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.selections import Missing
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target
from retinoscope.tasks import Query, poll
from retinoscope.tokens import TokenLayout


def gradient_ranking(
    recording: Recording,
    target: Target,
    query: Query,
    settings: Settings,
    own: AblationSettings,
) -> list[int] | Missing:
    """Positions by how much they speak for the right token at the answer's place, highest first.

    Paper, section 3.1. By default the visual tokens, for the right token that is likeliest, under
    the task's own prompt.

    Args:
        recording: the clean run of the task; the positions are its own.
        target: the object.
        query: the task.
        settings: the protocol's `gradient_` switches.
        own: points and tolerance of the integral.

    Returns:
        The positions, or why they can't be ranked: the model's layers can't be replayed, or there
        is no single right token.
    """
    if recording.fallback is not None:
        return Missing("gradients", f"they need a model that can be replayed: {recording.fallback}")
    protocol, explained = settings.protocol, recording
    if protocol.gradient_of_poll and query.task != "poll":
        tokenizer = recording.checkpoint.tokenizer
        query = poll(target.class_name, tokenizer, always_a=protocol.always_a)
        explained = look(recording.checkpoint, target.image, query.question)
    if protocol.gradient_of_bos:
        token = int(recording.checkpoint.tokenizer.encode("Yes")[0])
    elif query.right:
        token = query.right[int(explained.logits[list(query.right)].argmax())]
    else:
        return Missing("gradients", "there is no single right token to explain")
    found = integrated_gradients(
        explained,
        token,
        positions=_ranked(explained.encoded.layout, settings),
        most=own.gradient_nodes,
        tolerance=own.gradient_tolerance,
    )
    scores = found.magnitude if protocol.gradient_magnitude else found.score
    # Under another prompt the same tokens may stand elsewhere; their order is the same.
    positions = _ranked(recording.encoded.layout, settings)
    return [positions[i] for i in torch.argsort(-scores, stable=True).tolist()]


def _ranked(layout: TokenLayout, settings: Settings) -> tuple[int, ...]:
    """The positions that are ranked: the visual ones, and the next where the span is too long."""
    behind = (layout.visual[-1] + 1,) if settings.protocol.gradient_span_over else ()
    return (*layout.visual, *behind)
