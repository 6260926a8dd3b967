"""The ablation's own settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.protocol import Protocol
from retinoscope.results.ranges import check_number, check_whole


@dataclass(frozen=True)
class AblationSettings(OwnSettings):
    """Which selections are ablated beside the object.

    Attributes:
        sizes: n of the random and gradient selections (paper: 5 to 250); those over the number of
            an image's visual tokens don't exist there.
        register_deviations: register tokens have a norm above mean + this many standard
            deviations of the image's visual tokens (paper, section 3.1).
        gradient_nodes: most path points of integrated gradients.
        gradient_tolerance: completeness gap at which integrated gradients stop, as a share of the
            difference that they explain.

    Raises:
        RunError: a setting is out of its range.
    """

    sizes: tuple[int, ...] = (5, 10, 20, 40, 60, 100, 250)
    register_deviations: float = 2.0
    gradient_nodes: int = 13
    gradient_tolerance: float = 0.05

    def __post_init__(self) -> None:
        # Imported here: what is declared is read without torch, what is measured is not.
        from retinoscope.attribution.quadrature import FIRST, points

        check_whole("sizes", self.sizes, least=1, some=False)
        check_number("register_deviations", self.register_deviations, math.isfinite, "finite")
        check_whole("gradient_nodes", (self.gradient_nodes,), least=len(points(FIRST)))
        tolerance = self.gradient_tolerance
        check_number("gradient_tolerance", tolerance, lambda gap: 0 < gap < math.inf, "above 0")

    @classmethod
    def suited(cls, model: str, protocol: Protocol) -> AblationSettings:
        """More path points for the original's BOS target, where 13 (and its own 50) are too few.

        Integrated gradients take up to 129 there; fewer are taken where fewer are enough.
        """
        return cls(gradient_nodes=129 if protocol.gradient_of_bos else 13)
