"""Fitting a lens: one image after another into a state that can be put down and taken up again."""

from retinoscope.lens.fitting.example import Example, Seen
from retinoscope.lens.fitting.methods import Fitting, fitting
from retinoscope.lens.fitting.state import State

__all__ = ["Example", "Fitting", "Seen", "State", "fitting"]
