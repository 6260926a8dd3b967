"""Reads the residual stream of a recorded run as words: the logit lens, and fitted ones."""

from retinoscope.lens.changed import read_changed
from retinoscope.lens.fitted import KINDS, FittedLens, model_key, read_fitted, write_fitted
from retinoscope.lens.lenses import LogitLens, StateLens, logit_lens
from retinoscope.lens.reading import LensReading
from retinoscope.lens.unembedding import read_lens

__all__ = [
    "KINDS",
    "FittedLens",
    "LensReading",
    "LogitLens",
    "StateLens",
    "logit_lens",
    "model_key",
    "read_changed",
    "read_fitted",
    "read_lens",
    "write_fitted",
]
