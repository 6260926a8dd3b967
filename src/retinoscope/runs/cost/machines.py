"""Machines: how fast they multiply and read, this one as it is measured, named GPUs as assumed."""

from __future__ import annotations

import copy
import os
import re
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from retinoscope.errors import RunError
from retinoscope.runs.cost.shape import Shape

FLAT = 0.0008
"""Seconds that PyTorch takes to start the kernels of one decoder layer on a GPU, whatever the layer
holds: an assumption, of Hugging Face's own modules run without a graph."""


@dataclass(frozen=True)
class Machine:
    """Where a run is to be.

    Attributes:
        name: what it is called.
        devices: how many of them work side by side, each with the whole model.
        flops: floating-point operations a second that one sustains.
        bandwidth: bytes a second at which one reads weights.
        layer_seconds: what a layer takes at least, however little it is given.
        memory: bytes of one.
        measured: whether that was measured here and now; else it is assumed.
    """

    name: str
    devices: int
    flops: float
    bandwidth: float
    layer_seconds: float
    memory: float
    measured: bool

    def pass_seconds(self, shape: Shape) -> float:
        """What one pass over all layers takes at least: its kernels, and the weights' way."""
        read = (shape.layer_weights + shape.unembedding) * shape.number_bytes / self.bandwidth
        return max(read, shape.layers * self.layer_seconds)


def _gpu(name: str, teraflops: float, gigabytes: float, memory: float) -> Machine:
    return Machine(name, 1, teraflops * 1e12, gigabytes * 1e9, FLAT, memory * 1e9, False)


GPUS = {
    one.name: one
    for one in (
        _gpu("H200", 400, 4800, 141),
        _gpu("H100", 400, 3350, 80),
        _gpu("A100", 140, 2000, 80),
        _gpu("L40S", 150, 860, 48),
        _gpu("RTX4090", 60, 1000, 24),
        _gpu("RTX3090", 35, 930, 24),
    )
}
"""What such cards sustain in half precision, about two fifths of what their makers print, and the
makers' bandwidth and memory. Nobody has measured a run on them: assumptions."""


def machine_named(text: str) -> Machine:
    """So many GPUs of a kind, such as "H100" or "8xH100".

    Raises:
        RunError: no such kind is known.
    """
    found = re.fullmatch(r"(?:([1-9][0-9]{0,4})x)?(\w+)", text)
    if found is None or found[2] not in GPUS:
        raise RunError(
            f"{text!r} names no machine; give one of {', '.join(GPUS)}, or so many of them: 8xH100."
        )
    return replace(GPUS[found[2]], name=text, devices=int(found[1] or 1))


def this_machine(config: Any, shape: Shape, workers: int = 1) -> Machine:
    """This machine's processor, measured on two layers of the model with random weights.

    Processor time is taken, so that what else the machine does is no matter. It takes seconds.

    Args:
        config: the model's configuration.
        shape: its numbers.
        workers: processes that are to measure side by side.
    """
    small = copy.deepcopy(config)
    text = small.get_text_config(decoder=True)
    text.num_hidden_layers = min(2, text.num_hidden_layers)
    if isinstance(getattr(text, "layer_types", None), list):
        text.layer_types = text.layer_types[: text.num_hidden_layers]
    small.dtype = torch.float32 if shape.number_bytes == 4 else torch.bfloat16
    model: Any = AutoModelForImageTextToText.from_config(
        small, dtype=small.dtype, trust_remote_code=False
    ).eval()
    share = text.num_hidden_layers / shape.layers
    long, short = _seconds(model, shape.length), _seconds(model, 1)
    work = 2.0 * shape.length * shape.layer_weights * share
    work += 4 * shape.layers * share * shape.length**2 * shape.width
    work += 2.0 * shape.unembedding * shape.length
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        name=f"this machine ({workers} of {os.cpu_count()} cores)",
        devices=workers,
        flops=work / max(long - short, long / 4),
        bandwidth=float("inf"),
        layer_seconds=short / text.num_hidden_layers,
        memory=float(pages) / workers,
        measured=True,
    )


@torch.no_grad()
def _seconds(model: Any, length: int) -> float:
    """Seconds of processor time, on one thread, of a pass over text; the median of some.

    The best would be of moments in which no other program wants the caches, which runs don't have.
    """
    ids = torch.ones(1, length, dtype=torch.long)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        taken, until = [], time.monotonic() + 2
        for turn in range(20):
            begun = time.process_time()
            model(input_ids=ids, use_cache=False)
            taken.append(time.process_time() - begun)
            if turn > 2 and time.monotonic() > until:
                break
    finally:
        torch.set_num_threads(threads)
    # The first pass pays for what the later ones find ready.
    return statistics.median(taken[1:])
