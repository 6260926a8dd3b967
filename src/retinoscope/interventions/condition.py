"""A condition: the interventions that are in force together in one run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from retinoscope.errors import InterventionError
from retinoscope.interventions.checks import check_sites
from retinoscope.interventions.sites import Context, Sites, joined


@runtime_checkable
class Intervention(Protocol):
    """Anything that can say which sites it touches."""

    def sites(self, context: Context) -> Sites:
        """The writes and blocks that carry the intervention out on this clean run."""
        ...


Condition = tuple[Intervention, ...]
"""The interventions of one run; the empty condition is the clean run."""


def as_condition(interventions: Intervention | Sequence[Intervention]) -> Condition:
    """One intervention, or several, as a condition.

    Raises:
        InterventionError: something is not an intervention.
    """
    given = (interventions,) if isinstance(interventions, Intervention) else tuple(interventions)
    for intervention in given:
        if not isinstance(intervention, Intervention):
            raise InterventionError(
                f"{intervention!r} is not an intervention; give Ablate, Knockout, Patch, Steer or "
                "an object with a sites(context) method."
            )
    return given


def resolve(condition: Condition, context: Context) -> Sites:
    """Everything the condition touches on this clean run, checked.

    Raises:
        InterventionError: as each intervention says, and as `check_sites`.
    """
    return joined(touched(intervention, context) for intervention in condition)


def touched(intervention: Intervention, context: Context) -> Sites:
    """What one intervention touches on this clean run, whoever wrote it, checked.

    Raises:
        InterventionError: as the intervention says, and as `check_sites`.
    """
    sites = intervention.sites(context)
    check_sites(sites, context, type(intervention).__name__)
    return sites
