"""What a command says of a model and a picture or a name that don't go together."""

from __future__ import annotations

from typing import Any

from PIL import Image

from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.layout import SIZE
from retinoscope.errors import DataError
from retinoscope.shipped import is_shipped


def unlike_scenes(model: str, image: Image.Image) -> str:
    """A note where an embedded model gets a picture that can't be one of its scenes; else ""."""
    if not is_shipped(model) or image.size == (SIZE, SIZE):
        return ""
    return (
        f"Note: {model} knows nothing but composed scenes ({SIZE} x {SIZE} pixels); "
        f"on a picture such as this one ({image.width} x {image.height}), a photograph say, its "
        "answers mean nothing. Give another model with --model."
    )


def check_name(model: str, tokenizer: Any, name: str) -> None:
    """Make sure that a model can say a name.

    Raises:
        DataError: it can't; of an embedded model also what it knows.
    """
    from retinoscope.tasks import check_spelled  # reaches torch

    try:
        check_spelled(tokenizer, name)
    except DataError as error:
        if not is_shipped(model):
            raise
        raise DataError(f"{error} {model} knows {', '.join(NAMES)}.") from error
