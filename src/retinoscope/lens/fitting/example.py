"""One image that lenses are fitted on."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.engine import Recording


@dataclass(frozen=True)
class Seen:
    """An object of the image.

    Attributes:
        token: its word's.
        shuffled: the word of another object of the data, drawn for the control.
        positions: its visual tokens.
    """

    token: int
    shuffled: int
    positions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Example:
    """One image, looked at.

    Attributes:
        recording: with any question.
        answering: with an answer begun, so that the next token names an object.
        texts: prompts about the image whose words stand in a text.
        objects: what is seen in it.
    """

    recording: Recording
    answering: Recording
    texts: tuple[Recording, ...]
    objects: tuple[Seen, ...]
