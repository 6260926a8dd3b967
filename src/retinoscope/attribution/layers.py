"""What every layer of a run holds, a few layers at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording, capture
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.errors import InterventionError, ModelError
from retinoscope.interventions import Condition, Site

PASS = 1 << 30
"""Bytes of states in one pass: the attention of LLaVA-1.5-7B over 600 positions (32 layers of 32
heads, bf16) takes 0.7 GiB and one pass; over 2,900 positions half a GiB a layer, 16 passes."""


def require_attention(recording: Recording, what: str) -> None:
    """Refuse models whose flow through the layers is not attention within the sequence.

    Raises:
        ModelError: the layers can't be replayed, or one mixes positions in another way.
    """
    recording.require_replay(what)
    for layer, recorded in reversed([*enumerate(recording.layers)]):
        attends = isinstance(recorded.mixing, SelfAttention)
        if not attends or not recording.has(Site("attn_probs", layer)):
            mixing = type(recorded.mixing).__name__
            how = "does not show its attention weights" if attends else f"mixes by {mixing}"
            raise ModelError(
                f"Decoder layer {layer} of {recording.checkpoint.name} {how}, so that {what} is "
                "not defined for this model."
            )


def last_row(recording: Recording) -> Float[Tensor, " positions"]:
    """All of the last position, from which shares are carried down the layers."""
    row = torch.zeros(recording.length)
    row[-1] = 1.0
    return row


def query_row(recording: Recording, queries: Sequence[int]) -> Float[Tensor, " positions"]:
    """The mean of some positions, likewise.

    Raises:
        InterventionError: there is none, or one lies outside the prompt.
    """
    where = sorted({*queries})
    if not where or not 0 <= where[0] <= where[-1] < recording.length:
        raise InterventionError(
            f"Queries are positions of 0..{recording.length - 1}, at least one; got {where[:5]}."
        )
    row = torch.zeros(recording.length)
    row[where] = 1.0 / len(where)
    return row


def visual_scores(
    recording: Recording, scores: Float[Tensor, " positions"]
) -> Float[Tensor, " tokens"]:
    """The scores of the visual tokens, float32 on the CPU."""
    return scores.float().cpu()[list(recording.layout.visual)]


def states_of(
    recording: Recording,
    names: Sequence[str],
    order: Sequence[int] | None = None,
    condition: Condition = (),
) -> Iterator[tuple[int, dict[str, Float[Tensor, "positions ..."]]]]:
    """Layer by layer the states of some sites; as many layers in one pass as `PASS` holds.

    Args:
        recording: the clean run.
        names: of the sites, such as "attn_probs".
        order: of the layers; None is from the last down.
        condition: the interventions in force; () is the clean run.
    """
    layers = [*reversed(range(recording.layer_count))] if order is None else [*order]
    for some in passes(recording, names, layers):
        sites = [Site(name, layer) for layer in some for name in names]
        found = capture(recording, sites, condition).load()
        for layer in some:
            yield layer, {name: found[Site(name, layer)] for name in names}
        del found


def passes(
    recording: Recording, names: Sequence[str], layers: Sequence[int]
) -> Iterator[Sequence[int]]:
    """Layers in the given order, in groups of which the states fit in one pass."""
    size = recording.stream[0].element_size() * recording.length
    each = max(
        size * sum(prod(recording.state_shape(Site(name, layer))) for name in names)
        for layer in layers
    )
    count = max(1, PASS // each)
    for start in range(0, len(layers), count):
        yield layers[start : start + count]
