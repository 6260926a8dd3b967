"""Asking: the clean answer, and what an intervention makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.api import View
from retinoscope.app.acting import in_force
from retinoscope.app.requests import Intervene, Look, Prompt, Step
from retinoscope.app.session import Session, chosen_tokens, find_picture, find_view
from retinoscope.app.writing import Say, passage, word
from retinoscope.report.visible import visible

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
class Shown:
    """One image of a prompt.

    Attributes:
        key, title: the picture's.
        size: (width, height) of the original image, in pixels.
        boxes: (x0, y0, x1, y1) of each patch in those pixels.
        cells: (level, row, column) of each patch.
        first: index of its first patch among all of the prompt's.
    """

    key: str
    title: str
    size: tuple[int, int]
    boxes: list[list[float]]
    cells: list[list[int]]
    first: int


@dataclass(frozen=True)
class TextToken:
    """A token of the prompt's text, and its position in the sequence."""

    position: int
    word: str


@dataclass(frozen=True)
class Said:
    """A token of the clean answer.

    Attributes:
        word: its text.
        before: its probability in the clean run, 0 to 1.
        after: likewise with an intervention in force, behind the same words; None without one.
    """

    word: str
    before: float
    after: float | None = None


@dataclass(frozen=True)
class Looked:
    """A recorded run, as a page needs it.

    Attributes:
        images: in their order.
        visual: position in the sequence of each patch.
        text: the prompt's text, token by token.
        answer: the clean answer.
        words: its tokens.
        top: the likeliest next tokens.
        prompt: the whole text that the model was given.
        positions: length of the sequence.
    """

    images: list[Shown]
    visual: list[int]
    text: list[TextToken]
    answer: str
    words: list[Said]
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
        words: the clean answer's tokens, teacher-forced: each behind those before it.
    """

    patches: int
    moved: list[Moved]
    before: str
    after: str
    words: list[Said]


def look(session: Session, request: Look, say: Say) -> Looked:
    """Record a run and answer.

    Raises:
        RetinoscopeError: as in `find_view`.
    """
    view = find_view(session, request.prompt, say)
    layout = view.recording.layout
    spelled = view.recording.encoded.inputs["input_ids"][0].tolist()
    say("Writing the answer")
    values, ids = view.evaluate([()]).probability[0].topk(min(TOP, len(view.recording.logits)))
    clean = view.teacher_forced([()])
    return Looked(
        images=_shown(session, view, request.prompt),
        visual=list(layout.visual),
        text=[TextToken(position, word(view, spelled[position])) for position in layout.text],
        answer=passage(view.answer()),
        words=[
            Said(word(view, token), probability)
            for token, probability in zip(clean.tokens, clean.probability[0].tolist(), strict=True)
        ],
        top=[
            Candidate(token, word(view, token), probability)
            for token, probability in zip(ids.tolist(), values.tolist(), strict=True)
        ],
        prompt=passage(view.recording.encoded.prompt),
        positions=view.recording.length,
    )


def _shown(session: Session, view: View, prompt: Prompt) -> list[Shown]:
    layout = view.recording.layout
    return [
        Shown(
            key=key,
            title=visible(find_picture(session, key).title),
            size=span.grid.size,
            boxes=span.grid.boxes.round(3).tolist(),
            cells=span.grid.cells.tolist(),
            first=layout.visual.index(span.positions[0]),
        )
        for key, span in zip(prompt.images, layout.spans, strict=True)
    ]


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
    condition = in_force(session, view, request.prompt, steps, say)
    touched = set().union(*(chosen_tokens(view, step.patches) for step in steps))
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
    say("Reading the clean answer word by word")
    forced = view.teacher_forced([(), condition])
    words = [
        Said(word(view, token), clean, changed)
        for token, clean, changed in zip(forced.tokens, *forced.probability.tolist(), strict=True)
    ]
    return Intervened(len(touched), kept, passage(answers[0]), passage(answers[1]), words)
