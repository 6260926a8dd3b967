"""A run: data, model and experiments put together into a run folder."""

from retinoscope.runs.local import run
from retinoscope.runs.plan import Plan
from retinoscope.runs.progress import Announced, Progress, Silent

__all__ = ["Announced", "Plan", "Progress", "Silent", "run"]
