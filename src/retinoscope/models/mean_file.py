"""A mean visual token from a file of someone else's, the paper's own among them."""

from __future__ import annotations

import pickle
from pathlib import Path
from tokenize import TokenError

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from retinoscope.errors import ModelError
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.tensor_file import CHECKSUM, load_tensors

SUFFIXES = (".safetensors", ".npy", ".pt", ".pth")


_BROKEN = (OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError, TokenError)
"""What the readers raise on broken files; the last by numpy, whose headers are Python."""


def mean_from_file(checkpoint: Checkpoint, path: Path) -> Float[Tensor, "*positions width"]:
    """The mean visual token that a file holds, checked against the model.

    Read are `.safetensors` (the tensor "mean", as `retinoscope mean` writes it, or the only one),
    `.npy`, and `.pt` or `.pth` with a single tensor, such as the files of the paper's repository;
    nothing pickled is run.

    Args:
        checkpoint: the model that it is for.
        path: the file.

    Returns:
        Float32 on the CPU: [width], or [positions, width] where each position has its own.

    Raises:
        ModelError: the file is missing, broken or of another kind, holds something else than one
            tensor of finite numbers, or is of another width than the model.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; give a mean visual token in {_kinds()}.")
    found = _read(path)
    if not isinstance(found, Tensor) or not (
        found.is_floating_point() and bool(torch.isfinite(found).all())
    ):
        shown = f"{found.dtype} numbers" if isinstance(found, Tensor) else type(found).__name__
        raise ModelError(
            f"{path} holds {shown}; expected one tensor of finite floating-point numbers."
        )
    vectors = found.detach().float().squeeze(0) if found.ndim == 2 else found.detach().float()
    width = next(checkpoint.parts.embedding.parameters()).shape[-1]
    if vectors.ndim not in (1, 2) or vectors.shape[-1] != width:
        raise ModelError(
            f"{path} holds a tensor of shape {list(found.shape)}, but the language model of "
            f"{checkpoint.name} is {width} wide: expected [{width}] or [positions, {width}]. "
            "It belongs to another model."
        )
    return vectors


def _read(path: Path) -> object:
    suffix = path.suffix.lower()
    try:
        match suffix:
            case ".safetensors":
                return _only(_tensors(path), path)
            case ".npy":
                return torch.from_numpy(np.load(path, allow_pickle=False))
            case ".pt" | ".pth":
                return torch.load(path, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        raise ModelError(f"{path} can't be read as {suffix} ({error}); fetch it again.") from error
    except (SafetensorError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"{path} is broken or holds more than a tensor ({error}); give a mean visual token in "
            f"{_kinds()}."
        ) from error
    raise ModelError(f"{path}: a {suffix or 'nameless'} file is not read; give {_kinds()}.")


def _tensors(path: Path) -> dict[str, Tensor]:
    """Its tensors; of a file that `retinoscope mean` wrote, verified."""
    with safe_open(path, framework="pt") as file:
        ours = CHECKSUM in (file.metadata() or {}) or "standard_error" in file.keys()  # noqa: SIM118
    return load_tensors(path)[0] if ours else load_file(path)


def _only(tensors: dict[str, Tensor], path: Path) -> Tensor:
    if "mean" in tensors:
        return tensors["mean"]
    if len(tensors) != 1:
        raise ModelError(
            f"{path} holds {len(tensors)} tensors, none of them named 'mean'; expected one alone."
        )
    return next(iter(tensors.values()))


def _kinds() -> str:
    return f"one of {', '.join(SUFFIXES)}"
