"""Ablation: where is the object?"""

from retinoscope.experiments.ablation.records import AblationRecord
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="ablation",
    question="Where is the object?",
    records={"ablation": AblationRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    place=3,
    by_default=True,
)
