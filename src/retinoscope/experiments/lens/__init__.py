"""Logit lens: when does the object become a word?"""

from retinoscope.experiments.lens.records import LensRecord
from retinoscope.results.experiment import Experiment, Sheets

EXPERIMENT = Experiment(
    name="lens",
    question="When does it become a word?",
    records={"lens": LensRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    one_object=f"{__name__}.one_object:show",
    place=4,
    by_default=True,
    sheets=(
        Sheets(f"{__name__}.sheets:clean"),
        Sheets(f"{__name__}.sheets:without_object", suffix="@object+1", most=3),
    ),
)
