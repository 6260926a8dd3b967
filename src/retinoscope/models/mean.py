"""The mean visual token of a large image set: what ablation puts in a token's place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from retinoscope.errors import ModelError
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.encode import encode
from retinoscope.models.vision import first_states


@dataclass(frozen=True, eq=False)
class MeanToken:
    """The mean visual token at the input of the first decoder layer.

    Attributes:
        value: the mean, float32 on the CPU.
        standard_error: of each component, from the spread of image means (tokens of one image are
            not independent, so an image counts once).
        images: how many images.
        tokens: how many visual tokens in all.
    """

    value: Float[Tensor, " width"]
    standard_error: Float[Tensor, " width"]
    images: int
    tokens: int


def mean_token(
    checkpoint: Checkpoint,
    images: Iterable[Image.Image],
    *,
    progress: Callable[[int], None] | None = None,
) -> MeanToken:
    """Average the visual tokens of many images (paper, section 3.1: 50,000 from ImageNet).

    Streamed: one image is in memory at a time. Images of different size weigh by their number
    of tokens.

    Args:
        checkpoint: the model.
        images: RGB images.
        progress: called with the number of images done after each.

    Raises:
        ModelError: no image was given.
    """
    total: Tensor | None = None
    means: list[Tensor] = []
    tokens = 0
    for done, image in enumerate(images, start=1):
        vectors = visual_tokens(checkpoint, image).double().cpu()
        total = vectors.sum(0) if total is None else total + vectors.sum(0)
        tokens += len(vectors)
        means.append(vectors.mean(0).float())
        if progress is not None:
            progress(done)
    if total is None:
        raise ModelError("The mean visual token needs at least one image; none was given.")
    spread = torch.stack(means).std(0) if len(means) > 1 else torch.zeros_like(means[0])
    return MeanToken(
        (total / tokens).float(), spread / len(means) ** 0.5, images=len(means), tokens=tokens
    )


def visual_tokens(checkpoint: Checkpoint, image: Image.Image) -> Float[Tensor, "tokens width"]:
    """One image's visual tokens where the first decoder layer reads them.

    Raises:
        ModelError, TokenMapError: the model can't take the image.
    """
    encoded = encode(checkpoint, image, "Describe this image.")
    return first_states(checkpoint, encoded.inputs)[list(encoded.layout.visual)]


def write_mean(mean: MeanToken, path: Path) -> None:
    """Store a mean token as safetensors, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f"{path.suffix}.partial")
    counts = {"images": str(mean.images), "tokens": str(mean.tokens)}
    tensors = {"mean": mean.value.contiguous(), "standard_error": mean.standard_error.contiguous()}
    save_file(tensors, temporary, metadata=counts)
    temporary.replace(path)


def read_mean(path: Path) -> MeanToken:
    """Read a stored mean token.

    Raises:
        ModelError: the file is missing, broken or holds something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            counts = file.metadata() or {}
            return MeanToken(
                file.get_tensor("mean"),
                file.get_tensor("standard_error"),
                images=int(counts["images"]),
                tokens=int(counts["tokens"]),
            )
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise ModelError(
            f"{path} holds no mean visual token ({error}); delete it and it is computed again."
        ) from error
