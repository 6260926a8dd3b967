"""A run's cost: its stages, each so many units of so many seconds, laid out over the devices."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from retinoscope.models.memory import CPU_MEMORY, DEVICE_MEMORY
from retinoscope.runs.cost.machines import Machine
from retinoscope.runs.cost.shape import Shape
from retinoscope.runs.cost.work import COUNTED_TOKENS, Work, counted
from retinoscope.runs.mean_groups import GROUP

PIXEL_SECONDS = 1e-7
"""Seconds that reading and preparing one pixel of an image takes on one core."""

UNIT_SECONDS = 0.03
"""Seconds beside the model's work on one object: its mask, its conditions, writing its records."""

ENGINE, REPLAY = 1.9, 3.0
"""What the engine takes where plain passes take 1: for an operation, masks, copies and attention's
own operations with it, which nobody counts; and for a pass over the layers, which is more than one
step of a description. Fitted to five experiments on a processor (`python -m benchmarks.told`), and
carried over to GPUs."""

SPREAD = 0.4
"""Standard deviation of one object's time, relative to its mean: what the layout draws from."""

POINTS, HELD = 5, 17
"""Of integrated gradients: points of the path at a time, and what one holds of each state."""

PROGRAM = 5e8
"""Bytes of Python, PyTorch and transformers themselves."""

MEAN = "mean visual token"

BARRIERS = (MEAN, "curation")
"""Stages that the next one waits for: it needs the mean, or all that curation keeps."""

STORAGE = 5e9
"""Bytes a second that a cluster's shared storage gives: an assumption."""


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        experiments: their names.
        objects: that are measured.
        looked_at: candidates that curation looks at; 0 where there is none.
        mean_images: images of the mean visual token.
        max_new_tokens: most tokens of a description.
        pixels: of one image.
        image_bytes: of one image's file.
        most: of the experiments that measure fewer objects, how many.
    """

    experiments: tuple[str, ...]
    objects: int
    looked_at: int
    mean_images: int
    max_new_tokens: int
    pixels: float
    image_bytes: float
    most: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A part of a run.

    Attributes:
        name: what is done.
        units: how often.
        seconds: of one, on one device.
        read: bytes that one reads.
        written: bytes that one writes.
        together: units that are given to a device at a time.
    """

    name: str
    units: int
    seconds: float
    read: float
    written: float
    together: int = 1

    @property
    def work(self) -> float:
        """Seconds of one device that did it all."""
        return self.units * self.seconds


@dataclass(frozen=True)
class Cost:
    """What a run takes.

    Attributes:
        machine: where.
        weights: bytes of the weights, on each device.
        activations: bytes beside them, on each device.
        fits: whether a device has room for both.
        disk: bytes of the run folder.
        traffic: bytes that go over the storage, weights for each device among them.
        stages: in their order.
        seconds: from the beginning to the end.
        busy: share of the devices' time in which they work, 0 to 1.
        limits: what takes the largest share of the time that more devices would not shorten.
        uncounted: experiments whose work nobody has counted; they are in none of this.
    """

    machine: Machine
    weights: float
    activations: float
    fits: bool
    disk: float
    traffic: float
    stages: tuple[Stage, ...]
    seconds: float
    busy: float
    limits: str
    uncounted: tuple[str, ...]


def cost(job: Job, shape: Shape, machine: Machine) -> Cost:
    """What a job costs with a model on a machine.

    Args:
        job: what is to be done.
        shape: the model's numbers.
        machine: where.
    """
    stages = tuple(_stages(job, shape, machine))
    loading = shape.weight_bytes * (1 if machine.measured else machine.devices) / STORAGE
    worked = sum(stage.work for stage in stages)
    end = sum(_laid_out(some, machine.devices) for some in _behind_barriers(stages))
    waited = end - worked / machine.devices
    fixed = {"loading the weights": loading, "the slowest objects of a stage": max(0.0, waited)}
    seconds = loading + end
    activations = _activations(job, shape, machine)
    read = sum(stage.units * stage.read for stage in stages)
    written = sum(stage.units * stage.written for stage in stages)
    return Cost(
        machine=machine,
        weights=shape.weight_bytes,
        activations=activations,
        fits=shape.weight_bytes + activations < machine.memory,
        # Parts, and the tables that they are gathered into.
        disk=2 * written,
        traffic=read + 3 * written + shape.weight_bytes * machine.devices,
        stages=stages,
        seconds=seconds,
        busy=worked / (seconds * machine.devices) if seconds else 0.0,
        limits=max(fixed, key=lambda name: fixed[name]),
        uncounted=tuple(name for name in job.experiments if name not in counted()),
    )


def told(found: Cost) -> str:
    """A cost in one line."""
    memory = (found.weights + found.activations) / 1e9
    kind = "" if found.machine.measured else ", by assumed rates"
    without = f" Without {', '.join(found.uncounted)}, never counted." if found.uncounted else ""
    return (
        f"About {lasting(found.seconds)} on {found.machine.name}{kind}, with {memory:.1f} GB of "
        f"memory for each worker and {found.disk / 1e6:,.0f} MB of disk.{without}"
    )


def lasting(seconds: float) -> str:
    """Seconds as a number and its unit, as exact as an estimate may be."""
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.2g} seconds"


def _stages(job: Job, shape: Shape, machine: Machine) -> list[Stage]:
    once = shape.vision / machine.flops + job.pixels * PIXEL_SECONDS
    found = []
    if job.mean_images:
        found.append(Stage(MEAN, job.mean_images, once, job.image_bytes, 0, GROUP))

    def stage(name: str, units: int) -> Stage:
        work = counted()[name]
        seconds = once + _seconds(work, job.max_new_tokens, shape, machine)
        return Stage(name, units, seconds, job.image_bytes, work.part_bytes)

    if job.looked_at:
        found.append(stage("curation", job.looked_at))
    for name in job.experiments:
        if name in counted():
            found.append(stage(name, min(job.objects, job.most.get(name, job.objects))))
    return found


def _seconds(work: Work, max_new_tokens: int, shape: Shape, machine: Machine) -> float:
    """What a unit takes: its operations, and for each pass over the layers what that takes."""
    steps = work.steps * max_new_tokens / COUNTED_TOKENS
    passes = (REPLAY * work.passes + steps) * machine.pass_seconds(shape)
    return UNIT_SECONDS + ENGINE * work.forwards * shape.forward / machine.flops + passes


def _behind_barriers(stages: Sequence[Stage]) -> list[Sequence[Stage]]:
    """Stages that run into each other; the mean and curation are each over before what follows."""
    alone = [[one] for one in stages if one.name in BARRIERS]
    return [*alone, [one for one in stages if one.name not in BARRIERS]]


def _laid_out(stages: Sequence[Stage], devices: int) -> float:
    """When the last unit ends, where each device takes the next unit as soon as it is free."""
    drawn = np.random.default_rng(0)
    deviation = np.sqrt(np.log(1 + SPREAD**2))
    free = [0.0] * devices
    for stage in stages:
        left = stage.units - np.arange(0, stage.units, stage.together)
        times = left.clip(max=stage.together) * drawn.lognormal(0, deviation, len(left))
        for time in times * stage.work / times.sum():
            heapq.heapreplace(free, free[0] + float(time))
    return max(free)


def _activations(job: Job, shape: Shape, machine: Machine) -> float:
    """Bytes beside the weights: the program, a recording, a pass, and gradients where asked for."""
    state = shape.layers * shape.length * shape.width * shape.number_bytes
    path = POINTS * HELD * state if {"ablation", "flow"} & {*job.experiments} else 0
    one_pass = CPU_MEMORY if machine.measured else DEVICE_MEMORY
    return PROGRAM + shape.recording_bytes + 2 * one_pass + path
