"""Running sums of visual tokens: a mean over any number of images in the memory of a few."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from retinoscope.errors import ModelError
from retinoscope.models.tensor_file import load_tensors, save_tensors

Sum = Float64[np.ndarray, "*positions width"]
"""Not a tensor: processes send each other tensors as open files."""

SUMMED = ("total", "square", "cross")
"""Those of the fields below that are one."""


@dataclass(frozen=True, eq=False)
class MeanSums:
    """What is known after some images of a list; frozen, so that an interruption can't split it.

    An image i counts with its sum of tokens t_i and its number of tokens n_i; for a mean of each
    position apart, t_i are its tokens as they are and n_i is 1.

    Attributes:
        place: images gone through, those that could not be used with them.
        images: images in the sums.
        weight: the sum of n_i.
        square_weight: the sum of n_i squared.
        total: the sum of t_i; None before the first image.
        square: the sum of t_i squared.
        cross: the sum of n_i t_i.
        skipped: why images were left out.
    """

    place: int = 0
    images: int = 0
    weight: int = 0
    square_weight: int = 0
    total: Sum | None = None
    square: Sum | None = None
    cross: Sum | None = None
    skipped: tuple[str, ...] = ()


def with_image(
    sums: MeanSums, vectors: Float[Tensor, "tokens width"], *, per_position: bool = False
) -> MeanSums:
    """The sums with one more image.

    Raises:
        ModelError: the mean is of each position apart, and this image has another number of them.
    """
    exact = vectors.detach().cpu().double()
    amount, count = (exact, 1) if per_position else (exact.sum(0), len(exact))
    total = amount.numpy()
    own = MeanSums(1, 1, count, count**2, total, np.square(total), count * total)
    return merged(sums, own)


def merged(sums: MeanSums, more: MeanSums) -> MeanSums:
    """The sums over the images of both; merged in another order, many differ by rounding.

    Raises:
        ModelError: means are of each position apart, and the numbers of positions differ.
    """
    before, new = sums.total, more.total
    if before is not None and new is not None and before.shape != new.shape:
        raise ModelError(
            f"A mean of each position needs images of the same number of visual tokens; the first "
            f"had {len(before)}, another has {len(new)}. Take the mean over all positions, "
            "which fits every image."
        )
    return MeanSums(
        place=sums.place + more.place,
        images=sums.images + more.images,
        weight=sums.weight + more.weight,
        square_weight=sums.square_weight + more.square_weight,
        total=_added(before, new),
        square=_added(sums.square, more.square),
        cross=_added(sums.cross, more.cross),
        skipped=(*sums.skipped, *more.skipped),
    )


def _added(one: Sum | None, other: Sum | None) -> Sum | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def without_image(sums: MeanSums, reason: str) -> MeanSums:
    """The sums after an image that could not be used."""
    return replace(sums, place=sums.place + 1, skipped=(*sums.skipped, reason))


def mean_and_error(
    sums: MeanSums,
) -> tuple[Float[Tensor, "*positions width"], Float[Tensor, "*positions width"]]:
    """The mean token and its standard error, float32.

    The tokens of one image are not independent, so the image is the unit: the error is that of a
    ratio of two sums over images (linearised; Cochran, Sampling Techniques, section 6.4), which
    is the spread of the image means over the root of their number where all images have as many
    tokens. One image alone gives no error: 0.

    Raises:
        ModelError: there is no image in the sums.
    """
    if sums.total is None or sums.square is None or sums.cross is None:
        reason = f" (the first of {len(sums.skipped)}: {sums.skipped[0]})" if sums.skipped else ""
        raise ModelError(
            f"The mean visual token needs at least one image; none could be used{reason}."
        )
    mean = sums.total / sums.weight
    if sums.images == 1:
        return _single(mean), _single(np.zeros_like(mean))
    spread = sums.square - 2 * mean * sums.cross + np.square(mean) * sums.square_weight
    variance = spread.clip(min=0) * sums.images / (sums.images - 1) / sums.weight**2
    return _single(mean), _single(np.sqrt(variance))


def _single(exact: Sum) -> Float[Tensor, "*positions width"]:
    return torch.from_numpy(exact).float()


def write_sums(sums: MeanSums, path: Path) -> None:
    """Store the sums as safetensors, whole or not at all.

    Raises:
        ModelError: the file can't be written.
    """
    sums_of = {name: getattr(sums, name) for name in SUMMED}
    known = {
        "place": sums.place,
        "images": sums.images,
        "weight": sums.weight,
        "square_weight": sums.square_weight,
        "skipped": sums.skipped,
    }
    present = {k: torch.from_numpy(v) for k, v in sums_of.items() if v is not None}
    save_tensors(path, present, {"sums": json.dumps(known)})


def read_sums(path: Path) -> MeanSums:
    """The stored sums; fresh ones where nothing is stored.

    Raises:
        ModelError: the file is damaged.
    """
    if not path.exists():
        return MeanSums()
    tensors, metadata = load_tensors(path)
    try:
        known = json.loads(metadata["sums"])
        sums_of = {name: tensors[name].numpy() for name in SUMMED if name in tensors}
        return MeanSums(**known | {"skipped": tuple(known["skipped"])} | sums_of)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} holds no sums of visual tokens ({error}); delete it and they are summed again."
        ) from error
