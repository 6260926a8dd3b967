"""The rows of reasoning: a question under one condition, and what a position reads as."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReasoningRecord:
    """One question with steps under one condition.

    Attributes:
        image_id, object_id: the object at which the question is measured.
        kind: the data's word for the form of question ("two_hop", "count", ...).
        question, word: what is asked, and the word of the right answer.
        test: "clean"; "ablate" (tokens give way to the mean token); "cut" (attention is
            knocked out); "swap" (states come from the same question about something else).
        place: what was ablated ("anchor", "distractor", ...), which path was knocked out
            ("anchor → question"), or where states were swapped ("asked word"); "" when clean.
        layer: the first layer that is knocked out, or the place in depth that is swapped (0 is the
            embedding output); -1 where there is none.
        span: "from" (that layer and all later ones), "at" (that one alone), "" without a layer.
        tokens: how many tokens or positions the condition touches.
        difference: logit of the right token less that of the best wrong one, both chosen when
            clean.
        clean_difference: the same in the clean run.
        right: whether the answer is right.
        clean_right: whether it is in the clean run; where not, nothing else is measured.
        predicted: whether the answer is what the condition predicts: one less where one counted
            thing is ablated, the other question's answer where states are swapped; None where
            nothing is predicted.
    """

    image_id: int
    object_id: int
    kind: str
    question: str
    word: str
    test: str
    place: str
    layer: int
    span: str
    tokens: int
    difference: float
    clean_difference: float
    right: bool
    clean_right: bool
    predicted: bool | None


@dataclass(frozen=True)
class ReadingRecord:
    """Whether the result of a hidden step can be read at some positions of one layer.

    Attributes:
        image_id, object_id, kind, question: as in ReasoningRecord.
        word: the hidden step's result: neither the question nor the answer names it.
        control: the class of a thing in the image that plays no part.
        place: "asked word", "question" (its other tokens), "last", "answer" (its patches).
        layer: 0 is the embedding output.
        log_probability: of the word's first token under the logit lens, the highest over the
            positions, in nats.
        control_log_probability: the same of the control.
    """

    image_id: int
    object_id: int
    kind: str
    question: str
    word: str
    control: str
    place: str
    layer: int
    log_probability: float
    control_log_probability: float
