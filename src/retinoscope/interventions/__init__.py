"""Interventions: plain frozen data that says what to change, never how it is run.

To add one, write one file here: a frozen dataclass with an `edits(context)` method that says what
it writes at which sites, and which attention edges it removes or patches from another source.
"""

from retinoscope.interventions.ablate import Ablate, Noise
from retinoscope.interventions.condition import (
    Condition,
    Intervention,
    as_condition,
    as_conditions,
    edits_of,
    resolve,
    together,
)
from retinoscope.interventions.edits import Context, Edge, Edits, Source, Write
from retinoscope.interventions.knockout import Knockout
from retinoscope.interventions.patch import Patch
from retinoscope.interventions.path_patch import PathPatch
from retinoscope.interventions.site import Site, as_site
from retinoscope.interventions.site_patch import SitePatch
from retinoscope.interventions.steer import Steer

__all__ = [
    "Ablate",
    "Condition",
    "Context",
    "Edge",
    "Edits",
    "Intervention",
    "Knockout",
    "Noise",
    "Patch",
    "PathPatch",
    "Site",
    "SitePatch",
    "Source",
    "Steer",
    "Write",
    "as_condition",
    "as_conditions",
    "as_site",
    "edits_of",
    "resolve",
    "together",
]
