"""Scoring: how often a model says what is not there (POPE, CHAIR), and under interventions."""

from retinoscope.scoring.expression import Expression, parse
from retinoscope.scoring.score import TASKS, Scored, score

__all__ = ["TASKS", "Expression", "Scored", "parse", "score"]
