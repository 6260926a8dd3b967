"""Interventions: plain frozen data that says what to change, never how it is run.

To add one, write one file here: a frozen dataclass with a `sites(context)` method that says which
residual-stream positions it writes and which attention edges it blocks.
"""

from retinoscope.interventions.ablate import Ablate, Noise
from retinoscope.interventions.condition import (
    Condition,
    Intervention,
    as_condition,
    as_conditions,
    resolve,
    touched,
)
from retinoscope.interventions.knockout import Knockout
from retinoscope.interventions.patch import Patch
from retinoscope.interventions.sites import Block, Context, Sites, Write, joined
from retinoscope.interventions.steer import Steer

__all__ = [
    "Ablate",
    "Block",
    "Condition",
    "Context",
    "Intervention",
    "Knockout",
    "Noise",
    "Patch",
    "Sites",
    "Steer",
    "Write",
    "as_condition",
    "as_conditions",
    "joined",
    "resolve",
    "touched",
]
