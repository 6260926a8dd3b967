"""Asking: the clean answer, and what an intervention makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.api import View
from retinoscope.app.requests import Ablation, Blocking, Intervene, Look, Step
from retinoscope.app.session import Session, chosen_tokens, find_picture, find_view
from retinoscope.app.writing import Say, passage, word
from retinoscope.errors import InterventionError
from retinoscope.interventions import Ablate, Intervention, Knockout, Noise
from retinoscope.report.visible import visible
from retinoscope.tokens import TokenSet, only

TOP = 8
"""Likeliest next tokens that are shown."""


@dataclass(frozen=True)
class Candidate:
    """A next token.

    Attributes:
        token: its id.
        word: its text.
        probability: 0 to 1.
    """

    token: int
    word: str
    probability: float


@dataclass(frozen=True)
class Looked:
    """A recorded run, as a page needs it.

    Attributes:
        title: the picture's.
        size: (width, height) of the original image, in pixels.
        boxes: (x0, y0, x1, y1) of each patch in those pixels.
        cells: (level, row, column) of each patch.
        answer: the clean answer.
        top: the likeliest next tokens.
        prompt: the whole text that the model was given.
        positions: length of the sequence.
    """

    title: str
    size: tuple[int, int]
    boxes: list[list[float]]
    cells: list[list[int]]
    answer: str
    top: list[Candidate]
    prompt: str
    positions: int


@dataclass(frozen=True)
class Moved:
    """A next token's probability without and with an intervention, 0 to 1."""

    token: int
    word: str
    before: float
    after: float


@dataclass(frozen=True)
class Intervened:
    """What an intervention did.

    Attributes:
        patches: how many patches it touched.
        moved: the likeliest next tokens of either run, the clean run's likeliest first.
        before, after: the generated answers.
    """

    patches: int
    moved: list[Moved]
    before: str
    after: str


def look(session: Session, request: Look, say: Say) -> Looked:
    """Record a run and answer.

    Raises:
        RetinoscopeError: as in `find_view`.
    """
    view = find_view(session, request.prompt, say)
    grid = only(view.recording.encoded.layout.spans).grid
    say("Writing the answer")
    values, ids = view.evaluate([()]).probability[0].topk(min(TOP, len(view.recording.logits)))
    return Looked(
        title=visible(find_picture(session, request.prompt.image).title),
        size=grid.size,
        boxes=grid.boxes.round(3).tolist(),
        cells=grid.cells.tolist(),
        answer=passage(view.answer()),
        top=[
            Candidate(token, word(view, token), probability)
            for token, probability in zip(ids.tolist(), values.tolist(), strict=True)
        ],
        prompt=passage(view.recording.encoded.prompt),
        positions=view.recording.length,
    )


def intervene(session: Session, request: Intervene, say: Say) -> Intervened:
    """Ask again under an intervention, and those that are kept beside it.

    Raises:
        SelectionError: no such patches.
        InterventionError: the action can't be applied here.
    """
    view = find_view(session, request.prompt, say)
    steps = request.kept
    if request.patches or not steps:
        steps = (*steps, Step(request.patches, request.action))
    chosen = [chosen_tokens(view, step.patches) for step in steps]
    condition = tuple(
        as_intervention(view, tokens, step.action)
        for tokens, step in zip(chosen, steps, strict=True)
    )
    touched = set().union(*chosen)
    say("Evaluating the next token")
    before, after = view.evaluate([(), condition]).probability
    count = min(TOP, len(before))
    shown = set(before.topk(count).indices.tolist()) | set(after.topk(count).indices.tolist())
    moved = [Moved(t, word(view, t), float(before[t]), float(after[t])) for t in shown]
    moved.sort(key=lambda m: (-max(m.before, m.after), m.token))
    # In the clean run's order, so that rows stay where they are while interventions change.
    kept = sorted(moved[:TOP], key=lambda m: (-m.before, m.token))
    say("Writing both answers")
    answers = view.answers([(), condition])
    return Intervened(len(touched), kept, passage(answers[0]), passage(answers[1]))


def as_intervention(view: View, tokens: TokenSet, action: Ablation | Blocking) -> Intervention:
    """The intervention that an action means.

    Raises:
        InterventionError: the layers are none of this model's.
    """
    match action:
        case Ablation(value="noise", seed=seed):
            return Ablate(tokens, Noise(seed))
        case Ablation(value="mean" | "zero" as value):
            return Ablate(tokens, value)
        case Blocking(first, last) if first <= last < view.recording.layer_count:
            return Knockout(view.last, tokens, range(first, last + 1))
    raise InterventionError(
        f"{action} can't be done: layers go from 0 to {view.recording.layer_count - 1}, the "
        "first no later than the last."
    )
