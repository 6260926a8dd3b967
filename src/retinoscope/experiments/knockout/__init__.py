"""Attention knockout: who reads the object, and when?"""

from retinoscope.experiments.knockout.records import KnockoutRecord
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="knockout",
    question="Who reads it, and when?",
    records={"knockout": KnockoutRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    place=5,
    next_token=True,
    by_default=True,
)
