"""About: what a page must know before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.app.requests import (
    LONGEST_PREFIX,
    LONGEST_QUESTION,
    MOST_IMAGES,
    MOST_KEPT,
    MOST_WORDS,
)
from retinoscope.app.session import Session
from retinoscope.report.visible import visible

QUESTION = "Describe this image."


@dataclass(frozen=True)
class ExampleShown:
    """An example: its key, title, the names of its objects, and what one might ask."""

    key: str
    title: str
    objects: list[str]
    questions: tuple[str, ...]


@dataclass(frozen=True)
class About:
    """The model, the examples and the limits."""

    model: str
    family: str
    layers: int
    heads: int
    lenses: list[str]
    mean_known: bool
    question: str
    examples: list[ExampleShown]
    upload_bytes: int
    pixels: int
    longest_question: int
    longest_prefix: int
    most_images: int
    most_kept: int
    most_words: int


def about(session: Session) -> About:
    """What a page must know of a session."""
    return About(
        model=visible(session.model),
        family=session.vlm.checkpoint.family.name,
        layers=session.layer_count,
        heads=session.vlm.checkpoint.parts.head_count,
        lenses=list(session.lenses),
        mean_known=session.mean_known,
        question=QUESTION,
        examples=[
            ExampleShown(
                p.key, visible(p.title), [visible(a.class_name) for a in p.objects], p.questions
            )
            for p in session.examples.values()
        ],
        upload_bytes=session.limits.upload_bytes,
        pixels=session.limits.pixels,
        longest_question=LONGEST_QUESTION,
        longest_prefix=LONGEST_PREFIX,
        most_images=MOST_IMAGES,
        most_kept=MOST_KEPT,
        most_words=MOST_WORDS,
    )
