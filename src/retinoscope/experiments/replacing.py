"""What stands in replaced tokens' place, where no other image is at hand."""

from __future__ import annotations

from retinoscope.errors import RunError
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import random_source
from retinoscope.interventions import Ablate, Noise
from retinoscope.tokens import TokenSet


def values_at_hand(settings: Settings) -> list[str]:
    """The settings' values that need no other image, in their order.

    Raises:
        RunError: there is none.
    """
    found = [value for value in settings.values if value != "resampled"]
    if not found:
        raise RunError(
            'Tokens are not replaced by those of another image ("resampled") in this experiment; '
            'give values another one, such as "mean".'
        )
    return found


def replaced(
    tokens: TokenSet, value: str, settings: Settings, object_id: int, purpose: str
) -> Ablate:
    """Tokens replaced by a value: "mean", "zero" or "noise".

    Args:
        tokens: the tokens.
        value: one of `values_at_hand`.
        settings: their seed draws noise, with the object and the purpose.
        object_id: the object that is asked about.
        purpose: what is replaced, so that each set has noise of its own.
    """
    if value == "noise":
        drawn = random_source(settings.seed, object_id, f"noise-{purpose}")
        return Ablate(tokens, Noise(int(drawn.integers(2**31))))
    return Ablate(tokens, "zero" if value == "zero" else "mean")
