"""Several objects: does what is answered about one rest on another's tokens?"""

from retinoscope.experiments.pairs.records import PairRecord, SwapRecord
from retinoscope.experiments.pairs.settings import PairsSettings
from retinoscope.results.experiment import Experiment

EXPERIMENT = Experiment(
    name="pairs",
    question="Do several objects stay apart, also in the same place?",
    records={"pairs": PairRecord, "swaps": SwapRecord},
    measure=f"{__name__}.measure:measure",
    report=f"{__name__}.report:REPORT",
    settings=PairsSettings,
    place=12,
    scenes="arranged:overlap+congruent+groups+twins:60",
)
