"""Reads the residual stream of a recorded run as words: the logit lens."""

from retinoscope.lens.changed import read_changed
from retinoscope.lens.reading import LensReading
from retinoscope.lens.unembedding import read_lens

__all__ = ["LensReading", "read_changed", "read_lens"]
