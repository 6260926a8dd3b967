"""A condition: the interventions that are in force together in one run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeGuard, runtime_checkable

from retinoscope.brief import brief
from retinoscope.errors import InterventionError
from retinoscope.interventions.checks import check_edits
from retinoscope.interventions.edits import Context, Edits


@runtime_checkable
class Intervention(Protocol):
    """Anything that can say which edits it makes."""

    def edits(self, context: Context) -> Edits:
        """The writes and edges that carry the intervention out on this clean run."""
        ...


Condition = tuple[Intervention, ...]
"""The interventions of one run; the empty condition is the clean run."""


def as_condition(interventions: Intervention | Sequence[Intervention]) -> Condition:
    """One intervention, or several, as a condition.

    Raises:
        InterventionError: something is not an intervention.
    """
    if _is_intervention(interventions):
        return (interventions,)
    if isinstance(interventions, str) or not isinstance(interventions, Iterable):
        raise _no_intervention(interventions)
    given = tuple(interventions)
    for intervention in given:
        if not _is_intervention(intervention):
            raise _no_intervention(intervention)
    return given


def together(interventions: Sequence[Any]) -> Condition:
    """The interventions of one condition, as arguments; they may also be given as one sequence.

    Raises:
        InterventionError: something is not an intervention.
    """
    if len(interventions) == 1 and isinstance(interventions[0], list | tuple):
        return as_condition(interventions[0])
    return as_condition(interventions)


def as_conditions(
    conditions: Intervention | Condition | Sequence[Intervention | Sequence[Intervention]],
) -> list[Condition]:
    """Several conditions, or one alone where several could be given.

    Args:
        conditions: a list of conditions, of which each may be an intervention alone; or one
            condition: an intervention, or a tuple of them, which are in force together.

    Raises:
        InterventionError: something is not an intervention.
    """
    given: Any = conditions
    if _is_intervention(given) or (isinstance(given, tuple) and all(map(_is_intervention, given))):
        return [as_condition(given)]
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise _no_intervention(given)
    return [as_condition(one) for one in given]


def _is_intervention(value: object) -> TypeGuard[Intervention]:
    # What `isinstance` of the protocol says, but quickly: it is asked of every condition.
    return callable(getattr(type(value), "edits", None))


def _no_intervention(value: object) -> InterventionError:
    return InterventionError(
        f"{brief(value)} ({type(value).__name__}) is not an intervention; give Ablate, Knockout, "
        "Patch, Steer or an object with an edits(context) method."
    )


def resolve(condition: Condition, context: Context) -> Edits:
    """Everything the condition does to this clean run, checked.

    Raises:
        InterventionError: as each intervention says, and as `check_edits`.
    """
    return tuple(edit for one in condition for edit in edits_of(one, context))


def edits_of(intervention: Intervention, context: Context) -> Edits:
    """What one intervention does to this clean run, whoever wrote it, checked.

    Raises:
        InterventionError: as the intervention says, and as `check_edits`.
    """
    edits = intervention.edits(context)
    check_edits(edits, context, type(intervention).__name__)
    return edits
