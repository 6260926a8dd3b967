"""Find the kinds of question that can be answered without doing what they ask for.

Two answerers try. The first reads the question alone and gives the answer that was most frequent
for that text, for that text with its names blanked, or for the kind. The second sees the picture,
and of the question all but the names in it; it knows every question of that wording that could be
meant, and guesses best. What either gets right more often than its form says is dropped.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from retinoscope.data.scenes.asking import Form, Worded, blank, blind_rate
from retinoscope.errors import DataError

CERTAINTY = 3.0
"""Standard errors by which a text-only rate must pass the stated one."""


@dataclass(frozen=True)
class Rates:
    """How well a kind of question is answered without its point.

    Attributes:
        pictures: pictures that could be asked it.
        text: share that is right of the best answerer who reads the question alone, measured on
            the pictures that it did not learn from.
        blind: share that is right of the best answerer who does not know the names.
        kept: whether both are within what the form states.
    """

    pictures: int
    text: float
    blind: float
    kept: bool


def audit(
    pictures: Sequence[Sequence[Worded]], forms: dict[str, Form], seed: int = 0
) -> dict[str, Rates]:
    """Measure each form on many pictures.

    A picture gives one question of each kind, drawn evenly, as training and measuring draw them.

    Args:
        pictures: every question of each picture; 200 pictures that can be asked a kind measure
            its text-only rate within a few points.
        forms: the kinds and what they state.
        seed: of the drawing.

    Returns:
        For every form its rates; `kept` says which to go on with.

    Raises:
        DataError: no picture, or only one, can be asked a form: nothing would be measured.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for kind, form in forms.items():
        asked = [kept for p in pictures if (kept := [q for q in p if q.kind == kind])]
        if len(asked) < 2:
            raise DataError(
                f"{len(asked)} of {len(pictures)} pictures can be asked the form {kind!r}; "
                "give pictures that can, or leave the form out"
            )
        drawn = [listed[rng.integers(len(listed))] for listed in asked]
        text, tried = _text_rate(drawn)
        blind = float(np.mean([_picture_rate(listed) for listed in asked]))
        error = (form.text * (1 - form.text) / tried) ** 0.5
        kept = text <= form.text + CERTAINTY * error and blind <= form.blind + 1e-9
        found[kind] = Rates(len(asked), text, blind, kept)
    return found


def kept_forms(
    pictures: Sequence[Sequence[Worded]], forms: dict[str, Form], seed: int = 0
) -> dict[str, Form]:
    """The forms that pass the audit; see `audit`."""
    rates = audit(pictures, forms, seed)
    return {kind: form for kind, form in forms.items() if rates[kind].kept}


def _picture_rate(listed: Sequence[Worded]) -> float:
    """How often the blind answerer is right at a question that is drawn evenly from a picture's."""
    groups: defaultdict[str, list[Worded]] = defaultdict(list)
    for question in listed:
        groups[blank(question.question)].append(question)
    return sum(blind_rate(group) * len(group) for group in groups.values()) / len(listed)


def _text_rate(drawn: Sequence[Worded]) -> tuple[float, int]:
    """The best text-only answerer's share that is right, and of how many."""
    learned, tried = drawn[::2], drawn[1::2]
    views: list[Callable[[Worded], str]] = [
        lambda q: "",
        lambda q: blank(q.question),
        lambda q: q.question,
    ]
    common = Counter(q.answer for q in learned).most_common(1)[0][0]
    best = 0.0
    for view in views:
        answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for question in learned:
            answers[view(question)][question.answer] += 1
        guesses = {key: counted.most_common(1)[0][0] for key, counted in answers.items()}
        right = [guesses.get(view(q), common) == q.answer for q in tried]
        best = max(best, float(np.mean(right)))
    return best, len(tried)
