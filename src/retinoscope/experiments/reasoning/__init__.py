"""Reasoning: is a question with steps answered step by step?"""

from retinoscope.experiments.reasoning.records import ReadingRecord, ReasoningRecord
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="reasoning",
    question="Is a question with steps answered step by step?",
    records={"reasoning": ReasoningRecord, "reasoning_readings": ReadingRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    place=16,
    scenes="arranged:rows+groups:60",
    asks=True,
)
