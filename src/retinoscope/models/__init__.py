"""A vision-language model as loaded from disk or the hub: its parts, geometry and prompt format."""

from retinoscope.models.checkpoint import Checkpoint, Parts
from retinoscope.models.encode import Encoded, as_pictures, encode
from retinoscope.models.family import Family
from retinoscope.models.load import load
from retinoscope.models.mean import MeanToken, mean_token, read_mean, write_mean
from retinoscope.models.mean_file import mean_from_file

__all__ = [
    "Checkpoint",
    "Encoded",
    "Family",
    "MeanToken",
    "Parts",
    "as_pictures",
    "encode",
    "load",
    "mean_from_file",
    "mean_token",
    "read_mean",
    "write_mean",
]
