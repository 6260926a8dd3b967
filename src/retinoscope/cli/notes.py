"""One-line notes on what a command was given."""

from __future__ import annotations

from PIL import Image

from retinoscope.data.scenes.layout import SIZE
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
