"""SitePatch: put another run's state in the place of this run's, at any site, for chosen heads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.errors import InterventionError
from retinoscope.interventions.ablate import as_vectors
from retinoscope.interventions.edits import (
    Context,
    Edits,
    Write,
    checked_heads,
    checked_positions,
)
from retinoscope.interventions.site import Site, as_site
from retinoscope.tokens import Chosen

BY_HEAD = ("query", "attn_scores", "attn_probs", "z")
"""Sites that hold something for each query head."""


@dataclass(frozen=True, eq=False)
class SitePatch:
    """Replace the state of a site, for example with another run's (activation patching).

    Attributes:
        tokens: where: a TokenSet, positions or a mask.
        site: a Site or its address, such as "z.3".
        value: the states that stand there instead, [positions, ...] in ascending order of position,
            such as `other.capture(site, positions=tokens)[site]`.
        heads: query heads whose part is replaced, of a site that has one for each head (`query`,
            `attn_scores`, `attn_probs`, `z`); None is the whole state.

    Raises (when it is applied):
        InterventionError: no token, a position, site or head that is not there, heads of a site
            without heads, or a value of another shape than the site's.
    """

    tokens: Chosen
    site: Site | str
    value: Tensor | np.ndarray
    heads: int | Collection[int] | None = None

    __repr__ = brief_fields

    def edits(self, context: Context) -> Edits:
        """One write."""
        site = as_site(self.site)
        positions = checked_positions(self.tokens, context, "SitePatch")
        value = as_vectors(self.value, "SitePatch")
        wanted = (len(positions), *context.state_shape(site))
        if tuple(value.shape) != wanted:
            raise InterventionError(
                f"SitePatch got a value of shape {list(value.shape)}; {site} holds "
                f"{list(wanted)} at {len(positions)} position(s)."
            )
        if self.heads is None:
            return (Write(site, positions, value),)
        if site.name not in BY_HEAD:
            raise InterventionError(
                f"SitePatch names heads of {site}, which has none; give one of "
                f"{', '.join(BY_HEAD)}, or heads=None."
            )
        heads = list(checked_heads(self.heads, context, "SitePatch"))
        if not bool(torch.isfinite(value[:, heads].to(context.residual(0).dtype)).all()):
            raise InterventionError("SitePatch got a value that is not finite.")

        def change(state: Tensor) -> Tensor:
            changed = state.clone()
            changed[:, heads] = value[:, heads].to(state)
            return changed

        return (Write(site, positions, change),)
