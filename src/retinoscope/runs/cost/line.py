"""One line before a long run: how long it will be, in how much memory and disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from retinoscope.data.selection import Candidate
from retinoscope.models import Checkpoint
from retinoscope.models.place import device_name
from retinoscope.runs.cost.estimate import cost, told
from retinoscope.runs.cost.job import job_of
from retinoscope.runs.cost.machines import GPUS, Machine, this_machine
from retinoscope.runs.cost.shape import Shape, shape_of
from retinoscope.runs.plan import Plan

LONG = 600.0
"""Seconds from which on a run is long."""


def cost_line(
    plan: Plan, checkpoint: Checkpoint, candidates: Sequence[Candidate], mean_images: int
) -> str:
    """What a run will take from its beginning; "" where it is short, or the device isn't known.

    Args:
        plan: what is to be done.
        checkpoint: the model, loaded.
        candidates: the objects that fit the plan's filter.
        mean_images: that the mean visual token is measured over.
    """
    config = checkpoint.model.config
    dtype = str(checkpoint.model.dtype).removeprefix("torch.")
    shape = shape_of(checkpoint.name, config, dtype)
    job = job_of(plan, candidates, mean_images)
    machine = _machine(plan, checkpoint, shape)
    if machine is None:
        return ""
    found = cost(job, shape, machine)
    return told(found) if found.seconds > LONG else ""


def _machine(plan: Plan, checkpoint: Checkpoint, shape: Shape) -> Machine | None:
    """Where the model is, as far as that is known; of a cluster only the workers asked for are."""
    workers = plan.workers or 1
    if checkpoint.device.type == "cpu":
        return this_machine(checkpoint.model.config, shape, workers)
    name = device_name(checkpoint.device).replace(" ", "")
    known = next((one for kind, one in GPUS.items() if kind in name), None)
    return None if known is None else replace(known, devices=workers)
