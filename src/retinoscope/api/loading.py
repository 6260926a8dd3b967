"""Loading a model to look into, and measuring its mean visual token."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image
from torch import nn

from retinoscope.api.vlm import VLM, opened
from retinoscope.brief import brief
from retinoscope.errors import ModelError
from retinoscope.models import Checkpoint, MeanToken
from retinoscope.models import load as load_checkpoint
from retinoscope.models import mean_token as measure
from retinoscope.runs import Announced, Progress, Scenes
from retinoscope.runs.mean import mean_dataset, shipped_mean, with_mean
from retinoscope.shipped import EMBEDDED, is_shipped

MEAN_COUNT = 400
"""Scenes of the embedded model's mean visual token."""


def load(
    model: str | Path | nn.Module | Any = EMBEDDED,
    processor: Any = None,
    *,
    mean_images: str | None = None,
    mean_count: int = MEAN_COUNT,
    progress: Progress | None = None,
    **options: Any,
) -> VLM:
    """Load a vision-language model, or take one that is loaded.

    The embedded model comes with its mean visual token. That of its variants is computed from the
    embedded scenes the first time, which a line on the standard error says, and cached; for another
    model name images to take it over, or pass it as `mean=...` (see `retinoscope.mean_token`).

    Args:
        model: "embedded" or "embedded/NAME" (`retinoscope models --variants` lists them), a folder
            in Hugging Face format, a hub name or a folder with a PEFT adapter. Or a loaded model,
            also one that is wrapped by PEFT or nnsight, compiled or quantised; it is left as it is.
        processor: the processor of a loaded model; for others None is their own.
        mean_images: data whose images give the mean visual token, as `retinoscope.data.open_data`
            takes them ("folder:PATH", "coco:PATH", ...); computed once for a model, then cached.
        mean_count: most images of the mean.
        progress: told of the mean's images; None says on the standard error that they are gone
            through.
        options: `family`, `dtype`, `device`, `device_map`, `revision`, `quantization_config` and
            `mean`, as `retinoscope.models.load` takes them. Without a device the model goes to the
            best one: a GPU where there is one.

    Raises:
        ModelError: as in `retinoscope.models.load`.
        DataError: the images can't be read.
    """
    checkpoint = load_checkpoint(model, processor, **options)
    own = is_shipped(model)
    if checkpoint.mean is None and (mean_images is not None or own):
        if mean_images is None and mean_count == MEAN_COUNT and (known := shipped_mean(checkpoint)):
            return VLM(known)
        progress = progress or Announced()
        scenes = Scenes(progress)
        images = mean_dataset(EMBEDDED, mean_images, mean_count, None, composing=scenes)
        checkpoint, _ = with_mean(checkpoint, images, mean_count, progress)
    return VLM(checkpoint)


def mean_token(
    model: VLM | Checkpoint,
    images: Iterable[Image.Image | str | Path],
    *,
    per_position: bool = False,
    progress: Callable[[int], None] | None = None,
) -> MeanToken:
    """Average the visual tokens of many images; `vlm.with_mean(...)` takes the result.

    Args:
        model: the model.
        images: pictures or files.
        per_position: a mean of each position of the grid instead of one of all.
        progress: called with the number of images done after each.

    Raises:
        ModelError: no image was given, or the numbers of visual tokens differ per position.
        SampleError: a file is no image.
    """
    if not isinstance(model, VLM | Checkpoint):
        raise ModelError(f"A {type(model).__name__} is not a model; give what rs.load returned.")
    if isinstance(images, str | Path | Image.Image) or not isinstance(images, Iterable):
        raise ModelError(
            f"images are many pictures or files, such as Path('photos').glob('*.jpg'); got "
            f"{brief(images)}."
        )
    if not isinstance(per_position, bool):
        raise ModelError(f"per_position is True or False; got {brief(per_position)}.")
    if isinstance(progress, type) or not (progress is None or callable(progress)):
        raise ModelError(f"progress is a function of the images done; got {brief(progress)}.")
    checkpoint = model.checkpoint if isinstance(model, VLM) else model
    pictures = map(opened, images)
    return measure(checkpoint, pictures, per_position=per_position, progress=progress)
