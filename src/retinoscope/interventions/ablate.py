"""Ablate: take what tokens say away before the language model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.brief import brief, brief_fields
from retinoscope.errors import InterventionError
from retinoscope.interventions.edits import Context, Edits, Write, checked_positions
from retinoscope.interventions.site import Site
from retinoscope.tokens import Chosen


@dataclass(frozen=True)
class Noise:
    """Gaussian noise with each replaced token's own norm.

    Attributes:
        seed: the same seed gives the same noise, on every device.
    """

    seed: int


@dataclass(frozen=True, eq=False)
class Ablate:
    """Replace tokens at the input of the first decoder layer (paper, section 3).

    Attributes:
        tokens: what to replace, usually a TokenSet; positions and masks are taken as well, see
            `retinoscope.tokens.as_positions`.
        value: what stands in their place: "mean" (the mean visual token of a large image set, of
            all positions as in the paper or of each position apart), "zero", `Noise(seed)`, or
            vectors of one's own, one for all ([width]) or one for each position in ascending
            order ([positions, width]), such as the tokens of another image.

    Raises (when it is applied):
        InterventionError: no token is given, a position is outside the sequence, the mean is not
            known, or the vectors don't fit.
    """

    tokens: Chosen
    value: Literal["mean", "zero"] | Noise | Tensor | np.ndarray = "mean"

    __repr__ = brief_fields

    def edits(self, context: Context) -> Edits:
        """One write at the first layer's input."""
        positions = checked_positions(self.tokens, context, "Ablate")
        clean = context.residual(0)[list(positions)]
        return (Write(Site("resid_pre", 0), positions, self._values(clean, positions, context)),)

    def _values(
        self,
        clean: Float[Tensor, "positions width"],
        positions: tuple[int, ...],
        context: Context,
    ) -> Float[Tensor, "positions width"]:
        match self.value:
            case Tensor() | np.ndarray():
                return fitted(as_vectors(self.value, "Ablate"), clean, "Ablate")
            case "mean":
                mean = mean_at(context, positions)
                if mean is None:
                    raise InterventionError(
                        "Ablate(value='mean') needs the mean visual token of this model, which "
                        "is not known; compute it with retinoscope.mean_token(model, images) "
                        "and pass it to load(..., mean=...), or choose value='zero'."
                    )
                return mean.to(clean).expand_as(clean)
            case "zero":
                return torch.zeros_like(clean)
            case Noise(seed):
                if type(seed) is not int or not 0 <= seed < 2**63:
                    raise InterventionError(
                        f"Noise got seed={brief(seed)}; give a whole number, at least 0."
                    )
                return matched_noise(clean, seed)
            case other:
                raise InterventionError(
                    f"Ablate got value={other!r}; give 'mean', 'zero', Noise(seed) or a tensor."
                )


def mean_at(context: Context, positions: Sequence[int]) -> Float[Tensor, "*positions width"] | None:
    """The mean visual token at some positions, if it is known: one for all, or one for each.

    Raises:
        InterventionError: each visual token has its own mean, and this image has another number.
    """
    mean = context.mean_token
    if mean is None or mean.ndim == 1:
        return mean
    if len(mean) != context.length:
        raise InterventionError(
            f"The mean visual tokens are of {len(mean)} positions, and this image has another "
            "number of visual tokens; take one mean over all positions."
        )
    return mean[list(positions)]


def matched_noise(
    clean: Float[Tensor, "positions width"], seed: int
) -> Float[Tensor, "positions width"]:
    """Gaussian directions scaled to each row's own norm; drawn on the CPU so that devices agree."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(clean.shape, generator=generator).to(clean.device)
    norm = clean.float().norm(dim=-1, keepdim=True)
    return (noise / noise.norm(dim=-1, keepdim=True) * norm).to(clean.dtype)


def as_vectors(vectors: object, what: str) -> Tensor:
    """Vectors as a floating-point tensor.

    Raises:
        InterventionError: they are neither a tensor nor an array of numbers.
    """
    found = torch.from_numpy(vectors) if isinstance(vectors, np.ndarray) else vectors
    if not isinstance(found, Tensor) or found.is_complex():
        raise InterventionError(
            f"{what} got {brief(vectors)} ({type(vectors).__name__}) where vectors belong; give a "
            "tensor or array of [width] for all positions, or [positions, width]."
        )
    return found if found.is_floating_point() else found.float()


def fitted(
    vectors: Tensor, clean: Float[Tensor, "positions width"], what: str
) -> Float[Tensor, "positions width"]:
    """Vectors of one's own, one for all or one for each position, on the stream's device.

    Raises:
        InterventionError: another shape than [width] or [positions, width], or not finite.
    """
    if vectors.shape not in (clean.shape, clean.shape[-1:]):
        raise InterventionError(
            f"{what} got vectors of shape {list(vectors.shape)}; give [{clean.shape[-1]}] for all "
            f"positions or {list(clean.shape)} for each; of another run these are "
            "other.capture(site, positions=tokens)[site]."
        )
    cast = vectors.to(clean)
    if not bool(torch.isfinite(cast).all()):
        raise InterventionError(
            f"{what} got vectors that are not finite in {cast.dtype}: NaN, infinity, or too large "
            "for the model's precision."
        )
    return cast.expand_as(clean)
