"""Reading a run: the logit lens of a selection, and scores of every visual token."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from retinoscope.api import Lens, View
from retinoscope.app.requests import Overlay, Read
from retinoscope.app.session import Session, chosen_tokens, find_view
from retinoscope.app.writing import Say, finite, word
from retinoscope.attribution import attention_rollout, integrated_gradients
from retinoscope.errors import SelectionError
from retinoscope.experiments.ablation.settings import AblationSettings

WORDS = 5
"""Words of each layer that are shown."""


@dataclass(frozen=True)
class LayerWord:
    """A word of one layer.

    Attributes:
        word: its text.
        share: of one patch, the word's probability; of several, the share of patches whose
            likeliest word it is. 0 to 1.
    """

    word: str
    share: float


@dataclass(frozen=True)
class LensRead:
    """What a selection decodes to.

    Attributes:
        patches: how many were read.
        layers: the words of each layer, 0 being the input of the first decoder layer.
        entropy: the patches' mean entropy at each layer, in nats.
    """

    patches: int
    layers: list[list[LayerWord]]
    entropy: list[float | None]


@dataclass(frozen=True)
class Scores:
    """One score for each visual token.

    Attributes:
        scores: in order of patches: a share of 0 to 1 for rollout, either sign in logits for
            gradients.
        explains: the token that gradients explain, as text; "" for rollout.
        note: how far the scores can be trusted, in words.
    """

    scores: list[float]
    explains: str
    note: str


def read(session: Session, request: Read, say: Say) -> LensRead:
    """The logit lens of the selected patches.

    Raises:
        SelectionError: no such patches.
    """
    view = find_view(session, request.prompt, say)
    tokens = chosen_tokens(view, request.patches)
    say("Reading every layer")
    lens = view.lens(tokens, k=WORDS)
    layers = _single(view, lens) if len(tokens) == 1 else _several(view, lens)
    entropy = [finite(value) for value in lens.reading.entropy.mean(-1).tolist()]
    return LensRead(len(tokens), layers, entropy)


def _single(view: View, lens: Lens) -> list[list[LayerWord]]:
    reading = lens.reading
    return [
        [LayerWord(word(view, t), p) for t, p in zip(ids, shares, strict=True)]
        for ids, shares in zip(
            reading.ids[:, 0].tolist(), reading.probabilities[:, 0].tolist(), strict=True
        )
    ]


def _several(view: View, lens: Lens) -> list[list[LayerWord]]:
    best = lens.reading.ids[..., 0].tolist()
    return [
        [
            LayerWord(word(view, token), count / len(layer))
            for token, count in Counter(layer).most_common(WORDS)
        ]
        for layer in best
    ]


def overlay(session: Session, request: Overlay, say: Say) -> Scores:
    """Attention rollout or integrated gradients over the image.

    Raises:
        SelectionError: the token is not in the vocabulary.
        ModelError: the model does not show its attention.
    """
    view = find_view(session, request.prompt, say)
    recording = view.recording
    if request.reading == "rollout":
        say("Rolling attention out through the layers")
        shares = attention_rollout(recording).tolist()
        held = 100 * sum(shares)
        note = f"Visual tokens hold {held:.1f} % of the last position; text holds the rest."
        return Scores(shares, "", note)
    token = int(recording.logits.argmax()) if request.token is None else request.token
    if token >= len(recording.logits):
        raise SelectionError(f"The vocabulary has ids 0 to {len(recording.logits) - 1}.")
    say("Integrating gradients from the baseline to the image")
    settings = AblationSettings()
    found = integrated_gradients(
        recording,
        token,
        tolerance=settings.gradient_tolerance,
        most=settings.gradient_nodes,
    )
    state = "converged" if found.converged else "not converged: read with care"
    baseline = "mean visual token" if recording.mean_token is not None else "zero"
    note = (
        f"From the {baseline}, the logit changes by {found.difference:+.2g}; the scores miss "
        f"{found.gap:.2g} of it over {found.nodes} points ({state})."
    )
    return Scores(found.score.tolist(), word(view, token), note)
