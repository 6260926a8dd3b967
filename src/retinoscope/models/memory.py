"""Memory: what one pass may take on a model's devices, and passes that halve when it runs out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch

from retinoscope.models.checkpoint import Checkpoint

CPU_MEMORY, DEVICE_MEMORY = 2**26, 2**30
"""Bytes of intermediate tensors in one pass: enough rows to keep the processor busy; on a CPU
larger passes leave its caches and are slower."""

KEPT_MEMORY = 2**30
"""Bytes of keys and values that conditions of one batch may hold, where a device has no more."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def pass_memory(checkpoint: Checkpoint) -> int:
    """Bytes that one pass may take where the caller doesn't say.

    A pass goes through every device that holds decoder layers, so that the tightest sets it: of a
    GPU's free memory no more than half.
    """
    return min(_pass_memory(device) for device in layers_by_device(checkpoint))


def kept_memory(checkpoint: Checkpoint) -> int:
    """Bytes that keys and values of all layers may take where the caller doesn't say.

    On each GPU those of its own layers take a quarter of its free memory at most; the tightest
    sets the whole. The more conditions go on together, the less often the weights are read.
    """
    layers = layers_by_device(checkpoint)
    count = sum(layers.values())
    return min(_kept_memory(device) * count // own for device, own in layers.items())


def layers_by_device(checkpoint: Checkpoint) -> Mapping[torch.device, int]:
    """How many decoder layers each device holds.

    Layers that are offloaded (on "meta") are worked on where their neighbours are.
    """
    there = Counter(next(layer.parameters()).device for layer in checkpoint.parts.layers)
    held = {device: count for device, count in there.items() if device.type != "meta"}
    return held or {checkpoint.device: checkpoint.layer_count}


def _pass_memory(device: torch.device) -> int:
    if device.type == "cpu":
        return CPU_MEMORY
    return DEVICE_MEMORY if device.type != "cuda" else min(DEVICE_MEMORY, free_bytes(device) // 2)


def _kept_memory(device: torch.device) -> int:
    return KEPT_MEMORY if device.type != "cuda" else max(KEPT_MEMORY, free_bytes(device) // 4)


def free_bytes(device: torch.device) -> int:
    """What a CUDA device has left, what PyTorch holds there without using it among it."""
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def in_passes(
    items: Sequence[Item], size: int, run: Callable[[Sequence[Item]], Result]
) -> list[tuple[Sequence[Item], Result]]:
    """Run items in passes of at most `size`, halving the size when memory runs out.

    Raises:
        torch.OutOfMemoryError: not even one item fits.
    """
    done: list[tuple[Sequence[Item], Result]] = []
    at = 0
    while at < len(items):
        some = items[at : at + size]
        try:
            done.append((some, run(some)))
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if len(some) == 1 or not ran_out(error):
                raise
            size = len(some) // 2
            continue
        at += len(some)
    return done


def ran_out(error: RuntimeError) -> bool:
    """Whether an error says that memory ran out, on a device or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
