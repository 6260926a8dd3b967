"""Acting: the interventions that a page's actions mean."""

from __future__ import annotations

from collections.abc import Sequence

from retinoscope.api import View
from retinoscope.app.requests import (
    Ablation,
    Action,
    KnockingOut,
    Patching,
    Prompt,
    Steering,
    Step,
)
from retinoscope.app.session import Session, chosen_tokens, find_view
from retinoscope.app.writing import Say
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions import Ablate, Intervention, Knockout, Noise, Patch
from retinoscope.tokens import TokenSet


def in_force(
    session: Session, view: View, prompt: Prompt, steps: Sequence[Step], say: Say
) -> tuple[Intervention, ...]:
    """What steps do to a run, together.

    Raises:
        SelectionError: no such patches, or a word that can't be spelled.
        InterventionError: an action can't be done on this model.
    """
    found: list[Intervention] = []
    for step in steps:
        tokens = chosen_tokens(view, step.patches)
        match step.action:
            case Patching(image, layer):
                other = other_view(session, view, prompt, tokens, image, say)
                site = f"resid_pre.{checked_layer(view, layer, step.action)}"
                found.append(Patch(tokens, layer, other.capture(site, positions=tokens)[site]))
            case other_action:
                found.append(as_intervention(view, tokens, other_action))
    return tuple(found)


def as_intervention(
    view: View, tokens: TokenSet, action: Ablation | KnockingOut | Steering
) -> Intervention:
    """The intervention that an action within one run means; errors as in `in_force`."""
    match action:
        case Ablation(value="noise", seed=seed):
            return Ablate(tokens, Noise(seed))
        case Ablation(value="mean" | "zero" as value):
            return Ablate(tokens, value)
        case KnockingOut(first, last, heads) if first <= last < view.recording.layer_count:
            return Knockout(view.last, tokens, range(first, last + 1), heads or None)
        case Steering(word, layer, strength):
            place = checked_layer(view, layer, action)
            return view.towards(word.strip(), tokens, layer=place, strength=strength)
    raise _no_such_layers(view, action)


def other_view(
    session: Session, view: View, prompt: Prompt, tokens: TokenSet, image: str, say: Say
) -> View:
    """The run in which another image stands in the place of the tokens' own.

    Raises:
        SelectionError: the tokens are of several images.
        InterventionError: the model lays that image out in another way.
    """
    place = image_of(view, tokens)
    images = (*prompt.images[:place], image, *prompt.images[place + 1 :])
    other = find_view(session, Prompt(images, prompt.question, prompt.prefix), say)
    own, its = view.recording.layout, other.recording.layout
    if (own.length, own.visual) != (its.length, its.visual):
        raise InterventionError(
            f"The other image makes {its.length} positions of the prompt, {len(its.visual)} of "
            f"them patches, and this one {own.length} and {len(own.visual)}; take an image of the "
            "same shape, so that patches lie at the same places."
        )
    return other


def image_of(view: View, tokens: TokenSet) -> int:
    """Which of the prompt's images some tokens are of.

    Raises:
        SelectionError: several.
    """
    spans = view.recording.layout.spans
    found = [i for i, span in enumerate(spans) if set(span.positions) & set(tokens)]
    if len(found) != 1:
        raise SelectionError(
            f"The selected patches are of {len(found)} images; select patches of one of them, "
            "whose place the other image takes."
        )
    return found[0]


def checked_layer(view: View, layer: int, action: Action) -> int:
    """A layer that the model has.

    Raises:
        InterventionError: it has not.
    """
    if layer >= view.recording.layer_count:
        raise _no_such_layers(view, action)
    return layer


def _no_such_layers(view: View, action: Action) -> InterventionError:
    return InterventionError(
        f"{action} can't be done: layers go from 0 to {view.recording.layer_count - 1}, the "
        "first no later than the last."
    )
