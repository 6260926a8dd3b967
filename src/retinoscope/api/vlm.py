"""A model, ready to be looked into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image
from torch import Tensor

from retinoscope.api.view import View
from retinoscope.brief import brief
from retinoscope.data import open_image, upright_rgb
from retinoscope.data.folder import SUFFIXES
from retinoscope.engine import look
from retinoscope.errors import ModelError, SampleError
from retinoscope.models import Checkpoint, MeanToken, Prompt, Video, as_prompt
from retinoscope.models.mean import with_mean_token

LONGEST = 2**20
"""Tokens of an answer at most: longer than any model's context."""

Given: TypeAlias = Image.Image | Video | str | Path
"""A part of a prompt: an image or its file, a video, a text."""


@dataclass(frozen=True, eq=False)
class VLM:
    """A vision-language model, ready to be looked into; made by `load`.

    Attributes:
        checkpoint: the model's parts.
    """

    checkpoint: Checkpoint

    def __repr__(self) -> str:
        return f"VLM({self.checkpoint})"

    def with_mean(self, mean: MeanToken | Tensor) -> VLM:
        """The same model with a mean visual token, which `Ablate` puts in a token's place.

        Args:
            mean: what `rs.mean_token` gives, or vectors: [width], or [positions, width].

        Raises:
            ModelError: the vectors are of another width than the model, or not finite.
        """
        return VLM(with_mean_token(self.checkpoint, mean))

    def look(
        self,
        prompt: Prompt | Given | Sequence[Given],
        question: str | None = None,
        *,
        prefix: str = "",
        max_new_tokens: int = 40,
    ) -> View:
        """One clean run on a prompt, recorded, to be asked many things.

            vlm.look(image, "Is there a dog?")
            vlm.look([image, other], "Which one shows a dog?")
            vlm.look(["Compare", image, "with", other, "."])
            vlm.look(rs.Video(frames, fps=2), "What happens?")
            vlm.look("What is a dog?")

        Args:
            prompt: with a question, what is shown before it: an image, a video or several, PIL
                images or files. Without one, the parts of the prompt in their order: texts,
                images and videos; here a text is a text, and a file is a `pathlib.Path`. What is
                shown without any text is described. Texts are written as they stand.
            question: as a user would write it.
            prefix: the beginning of the answer, such as "It is a".
            max_new_tokens: the longest answer, in tokens.

        Raises:
            SampleError: a file is no image, a text among the parts names a file, the model does
                not take such a prompt, or the question, the prefix or max_new_tokens is of another
                type.
            ModelError: a part is no image, video or text.
            TokenMapError: the sequence's visual tokens don't match the geometry of what is shown.
        """
        asked = as_prompt(_shown(prompt, files=question is not None), question)
        if not isinstance(prefix, str):
            raise SampleError(f"The prefix is a text; got {brief(prefix)}.")
        if type(max_new_tokens) is not int or not 0 <= max_new_tokens <= LONGEST:
            raise SampleError(
                f"max_new_tokens is a whole number from 0 to {LONGEST}; got "
                f"{brief(max_new_tokens)}."
            )
        recording = look(self.checkpoint, asked, prefix=prefix, max_new_tokens=max_new_tokens)
        return View(recording, asked)


def opened(image: object) -> Image.Image:
    """A picture as RGB, upright: one that is given, or a file.

    Raises:
        ModelError: it is neither.
        SampleError: the file is no image.
    """
    if isinstance(image, str | Path):
        return open_image(Path(image))
    if not isinstance(image, Image.Image):
        raise ModelError(f"An image or its file is needed; got {brief(image)}.")
    return upright_rgb(image)


def _shown(given: Any, files: bool) -> Any:
    """A prompt, or its parts, with every picture opened.

    Args:
        given: as `VLM.look` takes it.
        files: texts name files.
    """
    if isinstance(given, list | tuple):
        return [_shown(one, files) for one in given]
    if isinstance(given, Prompt):
        return Prompt(tuple(_shown(one, files=False) for one in given.parts))
    if isinstance(given, Video):
        return replace(given, frames=[upright_rgb(frame) for frame in given.frames])
    if isinstance(given, str) and not files:
        if _names_file(given):
            raise SampleError(
                f"{given!r} is a file, and would be read as a text. To show it, give "
                f"pathlib.Path({given!r}), or the question as a second argument."
            )
        return given
    if isinstance(given, str | Path):
        return open_image(Path(given))
    return upright_rgb(given) if isinstance(given, Image.Image) else given


def _names_file(text: str) -> bool:
    """Whether a text is the name of a file rather than something to say."""
    if text.lower().endswith(SUFFIXES) and len(text.split()) == 1:
        return True
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with a null character
        return False
