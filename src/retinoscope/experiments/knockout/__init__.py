"""Attention knockout: who reads the object, and when?"""

from retinoscope.experiments.knockout.records import KnockoutRecord
from retinoscope.experiments.knockout.settings import KnockoutSettings
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="knockout",
    question="Who reads it, and when?",
    records={"knockout": KnockoutRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    settings=KnockoutSettings,
    one_object=f"{__name__}.one_object:show",
    place=5,
    next_token=True,
    by_default=True,
)
