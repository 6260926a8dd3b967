"""Interchange: which states carry what tells two images apart, and how well gradients guess it?"""

from retinoscope.experiments.interchange.records import (
    AgreementRecord,
    InterchangeItem,
    InterchangeRecord,
    PathRecord,
)
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="interchange",
    question="Which states carry the difference between two images, layer by layer?",
    records={
        "interchange": InterchangeRecord,
        "interchange_items": InterchangeItem,
        "interchange_paths": PathRecord,
        "interchange_agreement": AgreementRecord,
    },
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    place=18,
    next_token=True,
    scenes="arranged:rows+scatter:24",
)
