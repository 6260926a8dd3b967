"""A run: data, model and experiments put together into a run folder."""

from retinoscope.runs.local import run
from retinoscope.runs.plan import Plan
from retinoscope.runs.progress import Announced, Progress, Scenes, Silent

__all__ = ["Announced", "Plan", "Progress", "Scenes", "Silent", "run"]
