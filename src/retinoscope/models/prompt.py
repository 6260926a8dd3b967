"""A prompt: text, images and videos in the order in which the model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from PIL import Image

from retinoscope.brief import brief
from retinoscope.errors import ModelError, SampleError

DESCRIBE = "Describe this image."
"""What is asked where images come without a text."""


@dataclass(frozen=True, eq=False)
class Video:
    """The frames of a video that a model is shown, all of them.

    Choose frames beforehand, as many a second as the model was trained with (Qwen-VL: 2).

    Attributes:
        frames: RGB images of one size, in order.
        fps: frames in a second, among these; models that are told the time (Qwen-VL) read it.

    Raises:
        SampleError: there is no frame, they differ in size, or fps is no positive number.
    """

    frames: Sequence[Image.Image]
    fps: float

    def __post_init__(self) -> None:
        frames = tuple(self.frames) if isinstance(self.frames, list | tuple) else ()
        if not frames or not all(isinstance(frame, Image.Image) for frame in frames):
            raise SampleError(
                f"The frames of a video are a list of PIL images, at least one; got "
                f"{brief(self.frames)}."
            )
        sizes = {frame.size for frame in frames}
        if len(sizes) > 1:
            raise SampleError(f"The frames of a video have one size; got {sorted(sizes)}.")
        if not isinstance(self.fps, int | float) or not 0 < self.fps < float("inf"):
            raise SampleError(f"fps is a number of frames in a second, over 0; got {self.fps!r}.")
        object.__setattr__(self, "frames", frames)

    def __repr__(self) -> str:
        width, height = self.size
        return f"Video({len(self.frames)} frames of {width} x {height} pixels, fps={self.fps})"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of each frame, in pixels."""
        return self.frames[0].size


Part: TypeAlias = str | Image.Image | Video


@dataclass(frozen=True, eq=False)
class Prompt:
    """What one user turn holds.

    Attributes:
        parts: texts, images and videos, in order; text is written as it stands, blanks included.

    Raises:
        ModelError: a part is something else.
        SampleError: there is no part.
    """

    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        _check_parts(self.parts)
        if not self.parts:
            raise SampleError("The prompt is empty; give an image, a video or a text.")

    @property
    def images(self) -> tuple[Image.Image, ...]:
        """The images, in order."""
        return tuple(part for part in self.parts if isinstance(part, Image.Image))

    @property
    def videos(self) -> tuple[Video, ...]:
        """The videos, in order."""
        return tuple(part for part in self.parts if isinstance(part, Video))

    def __repr__(self) -> str:
        shown = [_shown(part) for part in self.parts[:8]]
        more = f", ... {len(self.parts) - 8} more" if len(self.parts) > 8 else ""
        return f"Prompt({', '.join(shown)}{more})"


Media: TypeAlias = Prompt | Part | Sequence[Part]
"""A prompt, an image or a video, or several parts in order."""


def as_prompt(media: Any, question: str | None = None) -> Prompt:
    """A prompt from what somebody gave.

    Args:
        media: an image or a video, or a sequence of them and of texts, in order; or a prompt.
        question: the text behind all of it; None where the parts hold the text. Parts without
            any text are described.

    Raises:
        ModelError: a part is no text, image or video.
        SampleError: nothing is given, the question is no text, or there is text in both places.
    """
    if question is not None and not isinstance(question, str):
        raise SampleError(f"The question is a text; got {brief(question)}.")
    if isinstance(media, Prompt):
        parts = media.parts
    else:
        parts = tuple(media) if isinstance(media, list | tuple) else (media,)
    _check_parts(parts)
    texts = [part for part in parts if isinstance(part, str)]
    if texts and question is not None:
        raise SampleError(
            f"There is text among the parts ({brief(texts)}) and a question ({brief(question)}) "
            "too; put all of it among the parts. A file is read by retinoscope.data.open_image."
        )
    if question is None and parts and not texts:
        question = DESCRIBE
    return Prompt(parts if question is None else (*parts, question))


def _check_parts(parts: tuple[Any, ...]) -> None:
    wrong = [type(one).__name__ for one in parts if not isinstance(one, str | Image.Image | Video)]
    if wrong:
        raise ModelError(
            f"An image is needed, as a PIL image; got {', '.join(wrong)}. A file is read by "
            "retinoscope.data.open_image(path), an array becomes one by "
            "PIL.Image.fromarray(array), a video is a retinoscope.Video."
        )


def _shown(part: Part) -> str:
    if isinstance(part, Image.Image):
        return f"<image of {part.width} x {part.height} pixels>"
    return brief(part)
