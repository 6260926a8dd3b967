"""A model, ready to be looked into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from retinoscope.api.view import View
from retinoscope.brief import brief
from retinoscope.data import open_image, upright_rgb
from retinoscope.engine import (
    look,
)
from retinoscope.errors import ModelError, SampleError
from retinoscope.models import Checkpoint, MeanToken, as_pictures
from retinoscope.models.mean import with_mean_token


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
        image: Image.Image | str | Path,
        question: str = "Describe this image.",
        *,
        prefix: str = "",
        max_new_tokens: int = 40,
    ) -> View:
        """One clean run on an image and a question, recorded, to be asked many things.

        Args:
            image: a PIL image or a file.
            question: as a user would write it.
            prefix: the beginning of the answer, such as "It is a".
            max_new_tokens: the longest answer, in tokens.

        Raises:
            SampleError: the file is no image, or the question, the prefix or max_new_tokens is of
                another type.
            ModelError: neither an image nor a file, or more than one.
            TokenMapError: the sequence's visual tokens don't match the image's geometry.
        """
        picture = opened(image)
        for name, text in (("question", question), ("prefix", prefix)):
            if not isinstance(text, str):
                raise SampleError(f"The {name} is a text; got {brief(text)}.")
        if not isinstance(max_new_tokens, int) or max_new_tokens < 0:
            raise SampleError(
                f"max_new_tokens is a whole number, at least 0; got {max_new_tokens!r}."
            )
        return View(
            look(self.checkpoint, picture, question, prefix=prefix, max_new_tokens=max_new_tokens),
            picture,
        )


def opened(image: object) -> Image.Image:
    """A picture as RGB, upright: one that is given, or a file.

    Raises:
        ModelError: it is neither, or more than one.
        SampleError: the file is no image.
    """
    if isinstance(image, str | Path):
        return open_image(Path(image))
    pictures = as_pictures(image)
    if len(pictures) > 1:
        raise ModelError(f"One image is looked at at a time; got {len(pictures)}.")
    return upright_rgb(pictures[0])
