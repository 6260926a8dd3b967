"""Measured effects: what a score really loses when each visual token alone is ablated."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.gradient_scores import score_of
from retinoscope.engine import Recording, Score, evaluate
from retinoscope.errors import SelectionError
from retinoscope.interventions import Ablate


def ablation_effects(
    recording: Recording, of: int | Score, value: object = "mean"
) -> Float[Tensor, " tokens"]:
    """The score of the clean run less that with one visual token ablated, for each of them.

    Exact, where `attribution_patching` is its linear approximation; a run for each token. That one
    token alone matters little does not say that several don't.

    Args:
        recording: the clean run.
        of: a token's id, for its logit at the last position, or a function of the logits there.
        value: what stands in the token's place, as `Ablate` takes it.

    Returns:
        One effect for each visual token, ascending by position, above 0 where the score falls;
        float32 on the CPU.

    Raises:
        SelectionError: there is no visual token, or the token is not in the vocabulary.
        InterventionError: as `Ablate`.
    """
    positions = recording.layout.visual
    if not positions:
        raise SelectionError("The prompt holds no visual token, so nothing can be attributed.")
    conditions = [(), *((Ablate([at], value),) for at in positions)]  # pyright: ignore
    scores = score_of(of, evaluate(recording, conditions).logits)
    return scores[0] - scores[1:]
