"""How many conditions run in one pass: what fits a memory budget, halved when it did not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from retinoscope.engine.recording import Recording

CPU_MEMORY, DEVICE_MEMORY = 2**26, 2**30
"""Bytes of intermediate tensors in one pass: enough rows to keep the processor busy; on a CPU
larger passes leave its caches and are slower."""

KEPT_MEMORY = 2**30
"""Bytes of keys and values that conditions of one batch may hold, where a device has no more."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def pass_memory(recording: Recording) -> int:
    """Bytes that one pass may take where the caller doesn't say."""
    return CPU_MEMORY if recording.logits.device.type == "cpu" else DEVICE_MEMORY


def kept_memory(recording: Recording) -> int:
    """Bytes that keys and values may take where the caller doesn't say; a quarter of a GPU's rest.

    The more conditions go on together, the less often the weights are read.
    """
    device = recording.logits.device
    if device.type != "cuda":
        return KEPT_MEMORY
    return max(KEPT_MEMORY, torch.cuda.mem_get_info(device)[0] // 4)


def row_bytes(recording: Recording, start: int, per_head: bool) -> int:
    """Roughly what one condition holds in memory at once while it is replayed.

    Args:
        recording: the clean run.
        start: the first position that is replayed.
        per_head: whether masks differ from head to head.
    """
    width = recording.stream[0].shape[-1]
    size = recording.stream[0].element_size()
    suffix, heads = recording.length - start, recording.head_count
    states = 16 * width * suffix * size
    scores = heads * suffix * recording.length * (8 if suffix <= 16 else 1)
    masks = suffix * recording.length * (heads if per_head else 1)
    copies = 2 * width * recording.length * size if suffix > 16 else 0
    return states + scores + masks + copies + recording.logits.shape[-1] * 4


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
