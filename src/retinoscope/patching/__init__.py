"""Activation patching between two runs: exact sweeps, exact paths, and what approximates them."""

from retinoscope.patching.agreement import Agreement, agreement
from retinoscope.patching.approximate import APPROXIMATIONS, Approximation, approximated
from retinoscope.patching.pair import DIRECTIONS, Direction, Pair, pair
from retinoscope.patching.paths import Path, paths
from retinoscope.patching.sweep import Cell, cells, exact

__all__ = [
    "APPROXIMATIONS",
    "DIRECTIONS",
    "Agreement",
    "Approximation",
    "Cell",
    "Direction",
    "Pair",
    "Path",
    "agreement",
    "approximated",
    "cells",
    "exact",
    "pair",
    "paths",
]
