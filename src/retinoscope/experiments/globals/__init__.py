"""Global features: do background tokens hold what is elsewhere, and does an answer use it?"""

from retinoscope.experiments.globals.records import (
    GlobalRecord,
    ProbeRecord,
    ReadRecord,
    TypeRecord,
)
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="globals",
    question="Are global features in background tokens genuine, and used?",
    records={
        "globals": GlobalRecord,
        "globals_read": ReadRecord,
        "globals_types": TypeRecord,
        "globals_probes": ProbeRecord,
    },
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    place=22,
    most=40,
)
