"""One-line notes on what a command was given."""

from __future__ import annotations

from PIL import Image

from retinoscope.data.scenes.layout import SIZE


def unlike_scenes(model: str, image: Image.Image) -> str:
    """A note where the embedded model gets a picture that can't be one of its scenes; else ""."""
    if model != "embedded" or image.size == (SIZE, SIZE):
        return ""
    return (
        f"Note: the embedded model knows nothing but its composed scenes ({SIZE} x {SIZE} pixels); "
        f"on a picture such as this one ({image.width} x {image.height}), a photograph say, its "
        "answers mean nothing. Give another model with --model."
    )
