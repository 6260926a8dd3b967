"""Kinds of visual tokens, found in the data of each image: no dimension or norm is given.

The rules of the literature without their models' numbers: norm outliers (the paper; Darcet et al.,
arXiv 2309.16588), sinks by attention received and by massive states (arXiv 2503.03321), dead tokens
(arXiv 2603.00510).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retinoscope.engine import Recording, capture
from retinoscope.errors import InterventionError
from retinoscope.tokens import TokenSet, at, visual

DEVIATIONS = 2.0
"""Norm outliers lie so many standard deviations above the mean (the paper)."""

ROBUST = 6.0
"""What stands out lies so many scaled median absolute deviations above the median."""

MULTIPLE = 3.0
"""And at least so many times the median: where all are alike, a trifle stands out."""

DEAD = 0.95
"""A dead token's cosine with the mean visual token is above this."""

FOUND = (
    "norm outliers",
    "norm outliers (MAD)",
    "norm outliers (3 x median)",
    "attention sinks",
    "massive states",
    "dead",
)
"""Kinds that are found, in the order of the tables."""


@dataclass(frozen=True, eq=False)
class Kinds:
    """An image's kinds of tokens.

    Attributes:
        tokens: by kind; an empty set where the image has none. "rest" are those of no kind.
        unknown: (kind, reason) of those that can't be looked for in this model.
        norm: of each visual token, as a multiple of the median.
        attention: received by each, as a multiple of the median; None where it can't be read.
    """

    tokens: Mapping[str, TokenSet]
    unknown: tuple[tuple[str, str], ...]
    norm: Float[Tensor, " visual"]
    attention: Float[Tensor, " visual"] | None


def kinds(recording: Recording) -> Kinds:
    """Find the kinds of an image's visual tokens.

    Args:
        recording: a clean run on the image.
    """
    positions = list(visual(recording.layout))
    states = recording.residual(0)[positions].float().cpu()
    norms = states.norm(dim=-1)
    relative = norms / norms.median()
    found: dict[str, Bool[Tensor, " visual"]] = {
        "norm outliers": norms > norms.mean() + DEVIATIONS * norms.std(),
        "norm outliers (MAD)": outstanding(norms, 1.0),
        "norm outliers (3 x median)": relative > MULTIPLE,
    }
    unknown: list[tuple[str, str]] = []
    received = None
    try:
        received = attention_received(recording)
        found["attention sinks"] = outstanding(received, MULTIPLE)
    except InterventionError as error:
        unknown.append(("attention sinks", str(error)))
    middle = recording.residual(recording.layer_count // 2)[positions].float().cpu()
    found["massive states"] = outstanding(massiveness(middle), MULTIPLE)
    mean = recording.checkpoint.mean
    if mean is None:
        unknown.append(("dead", "the mean visual token of this model is not known"))
    else:
        average = mean.reshape(-1, mean.shape[-1]).mean(0).float().cpu()
        found["dead"] = torch.cosine_similarity(states, average[None], dim=-1) > DEAD
    some = torch.stack(list(found.values())).any(0)
    sets = {
        name: at(
            recording.layout, [p for p, yes in zip(positions, one.tolist(), strict=True) if yes]
        )
        for name, one in {**found, "rest": ~some}.items()
    }
    share = None if received is None else received / received.median().clamp_min(1e-12)
    return Kinds(sets, tuple(unknown), relative, share)


def outstanding(values: Float[Tensor, " n"], least: float) -> Bool[Tensor, " n"]:
    """Which values stand out above the others, by the median absolute deviation.

    Args:
        values: not negative.
        least: the multiple of the median that a value must reach besides.
    """
    middle = values.median()
    spread = 1.4826 * (values - middle).abs().median()
    return (values > middle + ROBUST * spread) & (values > least * middle)


def attention_received(recording: Recording) -> Float[Tensor, " visual"]:
    """Attention that each visual token receives from the text behind the image.

    Mean over those positions, the layers that attend and their heads, 0 to 1.

    Raises:
        InterventionError: the model shows no attention weights, or no text follows the image.
    """
    seen = list(visual(recording.layout))
    behind = [p for p in recording.layout.text if p > seen[-1]]
    if not behind:
        raise InterventionError("no text follows the image, so that nothing reads it from there")
    cache = capture(recording, "attn_probs", positions=behind).load()
    layers = [weights[..., seen].float().mean((0, 1)).cpu() for weights in cache.values()]
    return torch.stack(layers).mean(0)


def massiveness(states: Float[Tensor, "tokens width"]) -> Float[Tensor, " tokens"]:
    """The largest component of each state, as a multiple of the state's root mean square."""
    return states.abs().max(-1).values / states.square().mean(-1).sqrt().clamp_min(1e-12)
