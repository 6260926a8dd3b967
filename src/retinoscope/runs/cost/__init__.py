"""What a run will cost in memory, disk and hours, from configuration and data alone."""

from retinoscope.runs.cost.estimate import Cost, Job, cost, told
from retinoscope.runs.cost.machines import Machine, machine_named, this_machine
from retinoscope.runs.cost.shape import Shape, shape_of

__all__ = [
    "Cost",
    "Job",
    "Machine",
    "Shape",
    "cost",
    "machine_named",
    "shape_of",
    "this_machine",
    "told",
]
