"""Overlay: what the words of the answer rest on, as one score for every patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.api import View
from retinoscope.api.explained import behind
from retinoscope.app.acting import in_force
from retinoscope.app.requests import Overlay
from retinoscope.app.session import Session, find_view
from retinoscope.app.writing import Say, finite, word
from retinoscope.attribution import HeadAttention, head_attention, mean_attention
from retinoscope.errors import SelectionError
from retinoscope.experiments.ablation.settings import AblationSettings


@dataclass(frozen=True)
class Scores:
    """One score for each visual token.

    Attributes:
        scores: in order of patches: a weight or share of 0 to 1 for attention and rollout, either
            sign in logits for gradients.
        explains: the tokens that are explained, as text; none where other positions ask.
        note: how far the scores can be trusted, in words.
        text: of attention, the weight on each token of the prompt's text.
        table: of attention, layers x heads: how much goes to the keys; None where there is no such
            head.
    """

    scores: list[float]
    explains: list[str]
    note: str
    text: list[float]
    table: list[list[float | None]]


def overlay(session: Session, request: Overlay, say: Say) -> Scores:
    """Scores of every visual token, by one method.

    Raises:
        SelectionError: no such place, position or token.
        ModelError: the model does not show its attention.
        InterventionError: an action can't be done on this model.
    """
    view = find_view(session, request.prompt, say)
    _check(view, request)
    if request.queries and request.reading in ("attention", "rollout"):
        asked = [(view, sorted(request.queries))]
        explains: list[str] = []
    else:
        views = [(find_view(session, request.prompt, say, p), p) for p in _places(request)]
        asked = [(one, [one.recording.length - 1]) for one, _ in views]
        explains = [word(view, token) for token in tokens_of(view, request)]
    condition = in_force(session, view, request.prompt, request.steps, say)
    condition = behind(view.recording, condition)
    match request.reading:
        case "attention":
            say("Reading attention")
            found = [head_attention(one.recording, where, condition) for one, where in asked]
            return _attention(view, found, request, explains)
        case "rollout":
            say("Rolling attention out through the layers")
            rolled = [one.rollout(*condition, queries=where).values for one, where in asked]
            return _rollout(rolled, request, explains)
    return _gradients(view, [one for one, _ in asked], request, explains, say)


def tokens_of(view: View, request: Overlay) -> list[int]:
    """The ids of the tokens that are explained: the answer's own, unless another one is asked for.

    Raises:
        SelectionError: the answer has no such place.
    """
    if request.token is not None:
        return [request.token]
    if _places(request) == [0]:
        return [int(view.recording.logits.argmax())]
    return list(view.explain(*_places(request)).tokens)


def _places(request: Overlay) -> list[int]:
    return sorted({*request.places}) or [0]


def _check(view: View, request: Overlay) -> None:
    vocabulary, length = len(view.recording.logits), view.recording.length
    if request.token is not None and request.token >= vocabulary:
        raise SelectionError(f"The vocabulary has ids 0 to {vocabulary - 1}.")
    if request.token is not None and _places(request) != [0]:
        raise SelectionError("Another token than the answer's own is explained at its first place.")
    if request.steps and request.reading not in ("attention", "rollout"):
        raise SelectionError("Gradients are of the clean run: leave the interventions out.")
    if max((*request.queries, *request.keys), default=0) >= length:
        raise SelectionError(f"The prompt has positions 0 to {length - 1}.")


def _attention(
    view: View, several: Sequence[HeadAttention], request: Overlay, explains: list[str]
) -> Scores:
    found = mean_attention(several, view.recording.length)
    weights = found.map(request.layer, request.head)
    layout = view.recording.layout
    visual, text = weights[list(layout.visual)], weights[list(layout.text)]
    answered = 1 - float(weights.sum())
    told = f", the answer so far {100 * answered:.1f} %" if answered > 1e-4 else ""
    note = (
        f"{_force(request)}Patches get {100 * float(visual.sum()):.1f} % of this attention, "
        f"the prompt's text {100 * float(text.sum()):.1f} %{told}. Attention is where a position "
        "reads, not yet what it uses."
    )
    table = found.to(request.keys or layout.visual)
    rows = [[finite(value) for value in row] for row in table.tolist()]
    return Scores(visual.tolist(), explains, note, text.tolist(), rows)


def _rollout(
    found: Sequence[Float[Tensor, " tokens"]], request: Overlay, explains: list[str]
) -> Scores:
    shares = torch.stack(list(found)).mean(0)
    note = (
        f"{_force(request)}Patches hold {100 * float(shares.sum()):.1f} % of what is asked "
        "about, by attention alone; text holds the rest."
    )
    return Scores(shares.tolist(), explains, note, [], [])


def _force(request: Overlay) -> str:
    return "With the intervention in force. " if request.steps else ""


def _gradients(
    view: View, views: Sequence[View], request: Overlay, explains: list[str], say: Say
) -> Scores:
    pairs = list(zip(views, tokens_of(view, request), strict=True))
    if request.reading == "gradient_x_input":
        say("Taking gradients")
        found = [one.gradient_x_input(token).values for one, token in pairs]
        note = "The slope of the logit at each patch times the patch: a first-order guess."
        return Scores(_sum(found), explains, note, [], [])
    say("Integrating gradients from the baseline to the image")
    settings = AblationSettings()
    options = {"tolerance": settings.gradient_tolerance, "most": settings.gradient_nodes}
    several = [one.integrated_gradients(token, **options) for one, token in pairs]
    difference, gap = sum(one.difference for one in several), max(one.gap for one in several)
    state = "converged" if all(one.converged for one in several) else "not converged"
    baseline = "mean visual token" if view.recording.mean_token is not None else "zero"
    note = (
        f"From the {baseline}, the logit changes by {difference:+.2g}; the scores miss "
        f"{gap:.2g} of it ({state})."
    )
    return Scores(_sum([one.values for one in several]), explains, note, [], [])


def _sum(found: Sequence[Float[Tensor, " tokens"]]) -> list[float]:
    return torch.stack(list(found)).sum(0).tolist()
