"""Later sublayers held at what they add on the clean run: what is left is the direct effect.

What an intervention changes is read, made up for or amplified further up (self-repair, arXiv
2307.15771). The total effect has all of that in it; the direct one none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording, capture
from retinoscope.errors import InterventionError
from retinoscope.interventions import Context, Edits, Site, Write

ADDED = ("attn_out_post", "mlp_out_post")
"""Sites that hold what a sublayer adds to the residual stream, as it is."""


@dataclass(frozen=True, eq=False)
class Edited:
    """Edits as they are, shared by all conditions that hold this one."""

    made: Edits

    def edits(self, context: Context) -> Edits:
        """The edits."""
        return self.made


def additions(
    recording: Recording, positions: Sequence[int]
) -> Mapping[Site, Float[Tensor, "positions width"]]:
    """What every sublayer adds at some positions on the clean run, in forward order.

    Raises:
        InterventionError: what a sublayer adds can't be written.
    """
    sites = [Site(name, layer) for layer in range(recording.layer_count) for name in ADDED]
    absent = [str(site) for site in sites if not recording.has(site)]
    if absent:
        raise InterventionError(
            f"{recording.checkpoint.name} has no {absent[0]}, so that later layers can't be held "
            "at what they add on the clean run."
        )
    found = capture(recording, sites, positions=positions).load()
    return {site: found[site] for site in sites}


def held_behind(
    added: Mapping[Site, Float[Tensor, "positions width"]], layer: int, positions: Sequence[int]
) -> Edited:
    """All that is added behind a layer's attention, as on the clean run: its MLP, and later layers.

    Args:
        added: of `additions`, at the same positions.
        layer: whose attention may still change what it adds.
        positions: where; others go on as they do.
    """
    own = Site("attn_out_post", layer)
    later = {
        site: state for site, state in added.items() if (site.layer or 0) >= layer and site != own
    }
    return Edited(tuple(Write(site, tuple(positions), state) for site, state in later.items()))
