"""Causal receptive fields: which part of the image does each visual token see?"""

from retinoscope.experiments.fields.records import FieldAblationRecord, FieldRecord
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="fields",
    question="Which part of the image does each visual token see?",
    records={"fields": FieldRecord, "field_ablations": FieldAblationRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    place=13,
    most=40,
)
