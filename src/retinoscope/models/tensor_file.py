"""Tensors in a safetensors file with a checksum over everything that is read from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from retinoscope.errors import ModelError, RunError
from retinoscope.results.atomic import replacing

CHECKSUM = "checksum"
"""The name of the checksum in the file's metadata."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file with its checksum, whole or not at all.

    Raises:
        ModelError: the file can't be written.
    """
    stored = {name: tensor.contiguous() for name, tensor in tensors.items()}
    told = {**metadata, CHECKSUM: checksum(stored, metadata)}
    try:
        with replacing(path) as stream:
            stream.write(save(stored, metadata=told))
    except (RunError, SafetensorError) as error:
        raise ModelError(
            f"{path} can't be written ({error}). Choose a folder with "
            "space that you may write to; the cache's is set by XDG_CACHE_HOME."
        ) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a file that `save_tensors` wrote, verified.

    Raises:
        ModelError: the file is missing, or what is read is not what was written.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path} can't be read ({error}); {_AGAIN}") from error
    if metadata.pop(CHECKSUM, None) != checksum(tensors, metadata):
        raise ModelError(f"{path} is damaged: what it holds is not what was written; {_AGAIN}")
    return tensors, metadata


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes, bytes and metadata."""
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        told = json.dumps([name, str(tensor.dtype), list(tensor.shape)])
        digest.update(told.encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


_AGAIN = "delete it, and it is computed again."
