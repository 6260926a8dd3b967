"""The gradient of a logit, or of any function of the logits, at any site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.capture import capture
from retinoscope.engine.edits.apply import STREAM
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import WEIGHTS, Looking
from retinoscope.engine.states import full_pass
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions import Condition, Site, as_condition
from retinoscope.tokens import Chosen

Score = Callable[[Float[Tensor, " vocabulary"]], Float[Tensor, ""]]
"""A differentiable number of the logits at the last position, float32."""


def gradient(
    recording: Recording,
    of: int | Score,
    sites: str | Site | Sequence[str | Site],
    condition: Condition = (),
    *,
    layers: int | Iterable[int] | None = None,
    positions: Chosen = None,
) -> dict[Site, Float[Tensor, "positions *state"]]:
    """How a score changes with the state of each site, all else that feeds the site held.

    One forward and one backward pass of the model; of what comes before the first site nothing is
    kept for the way back, and no gradient of a weight is computed.

    Args:
        recording: the clean run.
        of: a token's id, for its logit at the last position, or a function of the logits there.
        sites: as in `capture`.
        condition: the interventions in force together; () is the clean run.
        layers: as in `capture`.
        positions: as in `capture`.

    Returns:
        For each site a gradient of the shape of its state, in the model's precision; zero where the
        score does not depend on it.

    Raises:
        SelectionError: the token is not in the vocabulary.
        InterventionError: as in `capture`, or the function gives no single number that depends on
            the logits.
    """
    vocabulary = recording.logits.shape[-1]
    if isinstance(of, int) and not 0 <= of < vocabulary:
        raise SelectionError(f"Token id {of} is not in the vocabulary of 0..{vocabulary - 1}.")
    chosen = capture(recording, sites, condition, layers=layers, positions=positions)
    edits = Checked(recording).edits(as_condition(condition))
    moved: dict[Site, Tensor] = {}

    def move(site: Site, state: Tensor) -> Tensor:
        # From here on the pass is kept for the way back; what came before is not needed.
        torch.set_grad_enabled(True)
        moved[site] = torch.zeros_like(state, requires_grad=True)
        return state + moved[site]

    looking = Looking(frozenset(chosen.sites), move)
    with torch.no_grad():  # which puts the mode back on leaving
        logits = full_pass(recording, edits, looking)[-1].float()
        torch.set_grad_enabled(True)
        score = logits[of] if isinstance(of, int) else of(logits)
        if not isinstance(score, Tensor) or score.numel() != 1 or not score.requires_grad:
            raise InterventionError(
                "The gradient is of one number that depends on the logits; the function gave "
                f"{score!r}."
            )
        found = torch.autograd.grad(
            score.sum(), [moved[site] for site in chosen.sites], materialize_grads=True
        )
    where = list(chosen.positions)
    gradients = (
        one.reshape(-1, *one.shape[-2:])[0] if one.ndim > 3 and site.name in STREAM else one[0]
        for site, one in zip(chosen.sites, found, strict=True)
    )
    return {
        site: _keys_of(recording, site, one[where])
        for site, one in zip(chosen.sites, gradients, strict=True)
    }


def _keys_of(recording: Recording, site: Site, state: Tensor) -> Tensor:
    if site.name in WEIGHTS:
        return state[..., : recording.state_shape(site)[-1]]
    return state
