"""Where a model goes: one device, or a map over several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import nn
from transformers.utils.import_utils import is_accelerate_available

from retinoscope.errors import ModelError

SHARING = ("auto", "balanced", "balanced_low_0", "sequential")
"""Device maps that share a model out over devices, which accelerate does."""

CPU = torch.device("cpu")

Map: TypeAlias = str | Mapping[str, Any]


def best_device() -> torch.device:
    """The first GPU (CUDA), else Apple's, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """A device with what it is, such as "cuda:0 (NVIDIA H100)"."""
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"


def place(device: str | torch.device | None, device_map: Map | None) -> torch.device | Map:
    """The one device that a model goes to, or the map by which accelerate shares it out.

    Args:
        device: such as "cuda:1", "mps" or "cpu"; None is `best_device`.
        device_map: as in transformers; one that names a single device is that device.

    Raises:
        ModelError: both are given, the device is not there, or a map needs accelerate.
    """
    if device_map is None:
        return best_device() if device is None else _found(device)
    if device is not None:
        raise ModelError(
            f"Both device={str(device)!r} and device_map={device_map!r} were given; give a device, "
            "or a map over several."
        )
    if isinstance(device_map, Mapping) and list(device_map) == [""]:
        device_map = device_map[""]
    if isinstance(device_map, Mapping) or device_map in SHARING:
        need_accelerate(f"device_map={device_map!r}")
        return device_map
    return _found(device_map)


def need_accelerate(what: str) -> None:
    """Make sure that accelerate is installed.

    Raises:
        ModelError: it is not.
    """
    if not is_accelerate_available():
        raise ModelError(
            f"{what} needs accelerate, which is not installed; `pip install 'retinoscope[hub]'` "
            "brings it. A model that fits one device does without: give device='cuda' or 'cpu'."
        )


def moved(name: str, model: Any, device: torch.device) -> Any:
    """The model on a device.

    Raises:
        ModelError: it does not fit there.
    """
    try:
        return model.to(device)
    except torch.OutOfMemoryError as error:
        needed = _bytes(model) / 2**30
        raise ModelError(
            f"{name} takes {needed:.2g} GiB and does not fit on {device}: {error}. Give "
            "dtype='bfloat16', device_map='auto' to share it out, or device='cpu'."
        ) from error


def _bytes(model: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def _found(device: Any) -> torch.device:
    """A device that is there."""
    try:
        # A map's number is a CUDA device's.
        known = torch.device("cuda", device) if type(device) is int else torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ModelError(
            f"{device!r} is not a device; give 'cuda', 'cuda:1', 'mps' or 'cpu', or as a "
            f"device_map one of {', '.join(SHARING)}."
        ) from error
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": torch.backends.mps.is_available()}
    count = int(counts.get(known.type, 0))
    if (known.index or 0) >= count:
        there = [f"{count} of {kind}" for kind, count in counts.items() if count]
        raise ModelError(
            f"There is no device {str(known)!r} here; there is {', '.join(there)}. Leave the "
            "device out to take the best one."
        )
    return known
