"""What visual tokens are of: an image of the prompt, or some frames of a video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from retinoscope.brief import runs


@dataclass(frozen=True)
class OfImage:
    """Visual tokens of an image.

    Attributes:
        image: which of the prompt's images, from 0.
    """

    image: int

    def __str__(self) -> str:
        return f"image {self.image}"


@dataclass(frozen=True)
class OfVideo:
    """Visual tokens of some frames of a video; each of the tokens shows all of these frames.

    Attributes:
        video: which of the prompt's videos, from 0.
        frames: which of its frames, from 0; several where a model merges frames.
    """

    video: int
    frames: tuple[int, ...]

    def __str__(self) -> str:
        return f"video {self.video}, frame {runs(self.frames)}"


Medium: TypeAlias = OfImage | OfVideo
