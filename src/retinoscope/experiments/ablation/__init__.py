"""Ablation: where is the object?"""

from retinoscope.experiments.ablation.records import AblationRecord
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="ablation",
    question="Where is the object?",
    records={"ablation": AblationRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    settings=AblationSettings,
    one_object=f"{__name__}.one_object:show",
    place=3,
    by_default=True,
)
