"""The mean visual token of a large image set: what ablation puts in a token's place."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from retinoscope.brief import brief, brief_fields
from retinoscope.errors import ModelError
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.mean_sums import MeanSums, mean_and_error, with_image
from retinoscope.models.tensor_file import load_tensors, save_tensors
from retinoscope.models.visual_tokens import visual_tokens_of


@dataclass(frozen=True, eq=False)
class MeanToken:
    """The mean visual token at the input of the first decoder layer.

    Attributes:
        value: the mean, float32 on the CPU; [width], or [positions, width] where each position of
            the grid has its own.
        standard_error: of each component, images being the independent units, see
            `mean_sums.mean_and_error`.
        images: how many images.
        tokens: how many visual tokens in all.
        skipped: for each image that was left out, why.
    """

    value: Float[Tensor, "*positions width"]
    standard_error: Float[Tensor, "*positions width"]
    images: int
    tokens: int
    skipped: tuple[str, ...] = ()

    __repr__ = brief_fields


def mean_token(
    checkpoint: Checkpoint,
    images: Iterable[Image.Image],
    *,
    per_position: bool = False,
    progress: Callable[[int], None] | None = None,
) -> MeanToken:
    """Average the visual tokens of many images (paper, section 3.1: 50,000 from ImageNet).

    Streamed: a few images are in memory at a time. Images of different size weigh by their number
    of tokens. `retinoscope.runs.mean.measured_mean` does the same over a data set, cached and
    resumable.

    Args:
        checkpoint: the model.
        images: RGB images.
        per_position: a mean of each position of the grid instead of one of all; only for models
            and images that always give as many visual tokens.
        progress: called with the number of images done after each.

    Raises:
        ModelError: no image was given, or the numbers of visual tokens differ per position.
        SampleError, TokenMapError: the model can't take an image.
    """
    sums = MeanSums()
    for found in visual_tokens_of(checkpoint, images, lambda image: image):
        if not isinstance(found, Tensor):
            raise found
        sums = with_image(sums, found, per_position=per_position)
        if progress is not None:
            progress(sums.images)
    return finished(sums)


def with_mean_token(checkpoint: Checkpoint, mean: MeanToken | Tensor) -> Checkpoint:
    """The checkpoint with a mean visual token, on its device.

    Args:
        checkpoint: the model.
        mean: what `mean_token` gives, or vectors: [width], or [positions, width].

    Raises:
        ModelError: the vectors are of another width than the model, or not finite.
    """
    found = mean.value if isinstance(mean, MeanToken) else mean
    width = next(checkpoint.parts.embedding.parameters()).shape[-1]
    if not isinstance(found, Tensor) or found.ndim not in (1, 2) or found.shape[-1] != width:
        raise ModelError(
            f"The mean visual token is {brief(found)}; give a tensor of [{width}] or [positions, "
            f"{width}], or what retinoscope.mean_token returns."
        )
    if not found.is_floating_point() or not bool(torch.isfinite(found).all()):
        raise ModelError(f"The mean visual token must be finite numbers; got {brief(found)}.")
    return replace(checkpoint, mean=found.to(checkpoint.device))


def finished(sums: MeanSums) -> MeanToken:
    """The mean visual token of finished sums.

    Raises:
        ModelError: there is no image in them.
    """
    mean, error = mean_and_error(sums)
    positions = len(mean) if mean.ndim == 2 else 1
    return MeanToken(
        mean, error, images=sums.images, tokens=sums.weight * positions, skipped=sums.skipped
    )


def write_mean(mean: MeanToken, path: Path) -> None:
    """Store a mean token as safetensors, whole or not at all.

    Raises:
        ModelError: the file can't be written.
    """
    counts = {
        "images": str(mean.images),
        "tokens": str(mean.tokens),
        "skipped": json.dumps(mean.skipped),
    }
    save_tensors(path, {"mean": mean.value, "standard_error": mean.standard_error}, counts)


def read_mean(path: Path) -> MeanToken:
    """Read a mean token that `write_mean` stored.

    Raises:
        ModelError: the file is missing, damaged or holds something else.
    """
    tensors, counts = load_tensors(path)
    try:
        return MeanToken(
            tensors["mean"],
            tensors["standard_error"],
            images=int(counts["images"]),
            tokens=int(counts["tokens"]),
            skipped=tuple(json.loads(counts.get("skipped", "[]"))),
        )
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"{path} holds no mean visual token ({error}); delete it and it is computed again."
        ) from error
