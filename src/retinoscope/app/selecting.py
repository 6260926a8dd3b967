"""Selecting: one set of patches out of another."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.api import View
from retinoscope.app.requests import Select
from retinoscope.app.session import Session, chosen_tokens, find_picture, find_view, patches_of
from retinoscope.app.writing import Say
from retinoscope.data import object_mask
from retinoscope.errors import SelectionError
from retinoscope.experiments.selections import register_selection
from retinoscope.tokens import TokenLayout, TokenSet, at


@dataclass(frozen=True)
class Selected:
    """A selection.

    Attributes:
        patches: indices of visual tokens, ascending.
    """

    patches: list[int]


def select(session: Session, request: Select, say: Say) -> Selected:
    """Make a selection.

    Raises:
        SelectionError: it can't be made here.
    """
    view = find_view(session, request.prompt, say)
    now = chosen_tokens(view, request.patches) if request.patches else at(_layout(view), ())
    match request.how:
        case "grow":
            found = now.dilate(1)
        case "invert":
            found = ~now
        case "random":
            found = _random(view, now, request.seed)
        case "register":
            found = _register(view)
        case "object":
            found = _object(session, view, request)
    return Selected(patches_of(view, found))


def _random(view: View, now: TokenSet, seed: int) -> TokenSet:
    """As many tokens outside the selection, as the experiments' matched sets are drawn."""
    pool = view.tokens.visual - now
    if not now or len(now) > len(pool):
        raise SelectionError(
            f"{len(now)} patches are selected and {len(pool)} lie outside; the same number at "
            "random is drawn outside the selection, so select at least one and at most half."
        )
    return pool.draw(len(now), seed)


def _register(view: View) -> TokenSet:
    found = register_selection(view.recording)
    if not found.tokens:
        raise SelectionError(
            "There are no register tokens here: no visual token of this image has a norm that high."
        )
    return found.tokens


def _object(session: Session, view: View, request: Select) -> TokenSet:
    if request.image >= len(request.prompt.images):
        raise SelectionError(f"The prompt shows no image {request.image}, counted from 0.")
    picture = find_picture(session, request.prompt.images[request.image])
    if picture.sample is None or request.object >= len(picture.objects):
        raise SelectionError(f"{picture.title} has no object {request.object} with a known mask.")
    mask = object_mask(picture.sample, picture.objects[request.object])
    return view.images[request.image].tokens.under(mask)


def _layout(view: View) -> TokenLayout:
    return view.recording.encoded.layout
