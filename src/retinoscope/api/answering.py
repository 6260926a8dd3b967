"""Many questions at once: the answers of several views, each under every condition."""

from __future__ import annotations

from collections.abc import Sequence

from retinoscope.api.view import Conditions, View
from retinoscope.brief import brief
from retinoscope.engine import answer
from retinoscope.errors import InterventionError
from retinoscope.interventions import as_conditions


def answers(views: View | Sequence[View], conditions: Conditions) -> list[list[str]]:
    """The greedy answer of each view under each condition: `answers(...)[view][condition]`.

    Views of one image share what a condition changes in the image, so that many questions under
    many ablations cost little more than one question.

    Args:
        views: usually of one image with several questions, from one model.
        conditions: as in `View.answers`; positions are the same in every view.

    Raises:
        InterventionError: an intervention can't be applied to one of the views, or a view was
            looked at with max_new_tokens=0.
    """
    given: object = views
    views = [views] if isinstance(views, View) else views
    if not isinstance(views, list | tuple) or not all(isinstance(one, View) for one in views):
        raise InterventionError(
            f"views are one or several of what vlm.look(...) gives; got {brief(given)}."
        )
    asked = as_conditions(conditions)
    for view in views:
        if not view.recording.max_new_tokens:
            raise InterventionError(
                f"{view.recording.encoded.prompt!r} was looked at with max_new_tokens=0; "
                "an answer needs at least 1."
            )
    found = answer([(view.recording, asked) for view in views])
    return [
        [view.recording.checkpoint.text(one.tokens) for one in response.generations]
        for view, response in zip(views, found, strict=True)
    ]
