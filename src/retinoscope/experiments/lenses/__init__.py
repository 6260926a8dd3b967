"""Lenses: can the word be read before it can be read off the vocabulary, and is it used?"""

from retinoscope.experiments.lenses.records import LensCauseRecord, LensShareRecord
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="lenses",
    question="Which lens reads it, and does the answer use what it reads?",
    records={"lenses": LensShareRecord, "lenses_causal": LensCauseRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    place=11,
    next_token=True,
    most=40,
)
