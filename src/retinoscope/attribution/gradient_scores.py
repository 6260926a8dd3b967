"""First-order scores: what the gradient of a score says of each visual token at the input."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.layers import (
    last_row,
    passes,
    require_attention,
    states_of,
    visual_scores,
)
from retinoscope.engine import Recording, Score, gradient
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions import Site
from retinoscope.interventions.ablate import as_vectors, mean_at


def gradient_x_input(recording: Recording, of: int | Score) -> Float[Tensor, " tokens"]:
    """The product of each visual token with the gradient of a score there.

    Shrikumar et al. 2016 (arXiv 1605.01713): to first order what the score would lose if the token
    were zero at the input of the first decoder layer.

    Args:
        recording: the clean run.
        of: a token's id, for its logit at the last position, or a function of the logits there.

    Returns:
        One score for each visual token, either sign, in the score's unit; float32 on the CPU.

    Raises:
        SelectionError: there is no visual token, or the token is not in the vocabulary.
        InterventionError: the function gives no single number.
    """
    clean, slope = _at_input(recording, of)
    return (slope * clean).sum(-1)


def attribution_patching(
    recording: Recording, of: int | Score, baseline: Float[Tensor, "*tokens width"] | None = None
) -> Float[Tensor, " tokens"]:
    """To first order what a score loses when each visual token alone becomes the baseline.

    Gradient times (token less baseline), Nanda 2023; the linear approximation of ablating it with
    `Ablate([token])`, for all tokens in one backward pass.

    Args:
        recording: the clean run.
        of: as in `gradient_x_input`.
        baseline: what stands in a token's place, one for all or one for each; None is the mean
            visual token.

    Returns:
        As `gradient_x_input`; above 0 where the score would fall.

    Raises:
        SelectionError: there is no visual token, or the token is not in the vocabulary.
        InterventionError: the mean visual token is not known and no baseline is given, or it has
            another shape than the visual tokens.
    """
    mean = mean_at(recording, recording.layout.visual)
    if baseline is not None:
        mean = as_vectors(baseline, "attribution_patching (baseline)")
    if mean is None:
        raise InterventionError(
            "Attribution patching needs what stands in a token's place: the mean visual token of "
            "this model is not known; load the model with mean=..., or give a baseline."
        )
    clean, slope = _at_input(recording, of)
    mean = mean.float().cpu()
    if mean.shape not in (clean.shape, clean.shape[-1:]):
        raise InterventionError(
            f"The baseline has shape {list(mean.shape)}; give [{clean.shape[-1]}] for all visual "
            f"tokens or {list(clean.shape)} for each."
        )
    return (slope * (clean - mean)).sum(-1)


def chefer_relevance(recording: Recording, of: int | Score) -> Float[Tensor, " tokens"]:
    """Gradient-weighted attention carried through the layers (Chefer et al. 2021).

    arXiv 2103.15679, self-attention: R starts as the identity; in each layer
    R += mean over heads of max(0, gradient * attention) @ R. The last position's row of R is
    carried, from the last layer down.

    Args:
        recording: the clean run.
        of: as in `gradient_x_input`.

    Returns:
        One relevance for each visual token, at least 0, in no unit; float32 on the CPU.

    Raises:
        SelectionError: the token is not in the vocabulary.
        ModelError: the model's layers can't be replayed, or one does not attend in the sequence.
        InterventionError: the function gives no single number.
    """
    require_attention(recording, "Chefer's relevance")
    row = last_row(recording)
    layers = [*reversed(range(recording.layer_count))]
    for some in passes(recording, ["attn_probs"], layers):
        slopes = gradient(recording, of, [Site("attn_probs", layer) for layer in some])
        for layer, states in states_of(recording, ["attn_probs"], some):
            weighed = slopes[Site("attn_probs", layer)].float() * states["attn_probs"].float()
            row = row + row @ weighed.clamp(min=0).mean(1).cpu()
    return visual_scores(recording, row)


def _at_input(
    recording: Recording, of: int | Score
) -> tuple[Float[Tensor, "tokens width"], Float[Tensor, "tokens width"]]:
    """The visual tokens at the input of the first layer, and the gradient there."""
    positions = list(recording.layout.visual)
    if not positions:
        raise SelectionError("The prompt holds no visual token, so nothing can be attributed.")
    site = Site("resid_pre", 0)
    slope = gradient(recording, of, site, positions=positions)[site]
    return recording.residual(0)[positions].float().cpu(), slope.float().cpu()


@torch.no_grad()
def score_of(of: int | Score, logits: Float[Tensor, "runs vocabulary"]) -> Float[Tensor, " runs"]:
    """A score of the logits of several runs: a token's logit, or a function of them."""
    if isinstance(of, int):
        if not 0 <= of < logits.shape[-1]:
            last = logits.shape[-1] - 1
            raise SelectionError(f"Token id {of} is not in the vocabulary of 0..{last}.")
        return logits[:, of].float().cpu()
    return torch.stack([of(one.float()).reshape(()) for one in logits]).cpu()
