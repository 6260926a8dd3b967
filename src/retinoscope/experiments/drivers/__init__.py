"""Drivers: which sublayers, heads and sources write an object's word into its patches?"""

from retinoscope.experiments.drivers.records import (
    DriverAnswerRecord,
    DriverRecord,
    DriverShareRecord,
)
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="drivers",
    question="What writes the word into the object's patches?",
    records={
        "drivers": DriverRecord,
        "drivers_answers": DriverAnswerRecord,
        "drivers_shares": DriverShareRecord,
    },
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    place=10,
    next_token=True,
    most=40,
)
