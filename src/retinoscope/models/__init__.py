"""A vision-language model as loaded from disk or the hub: its parts, geometry and prompt format."""

from retinoscope.models.checkpoint import Checkpoint, Parts
from retinoscope.models.encode import Encoded, encode
from retinoscope.models.family import Family
from retinoscope.models.load import load
from retinoscope.models.mean import MeanToken, mean_token, read_mean, write_mean
from retinoscope.models.mean_file import mean_from_file
from retinoscope.models.prompt import Media, Prompt, Video, as_prompt

__all__ = [
    "Checkpoint",
    "Encoded",
    "Family",
    "MeanToken",
    "Media",
    "Parts",
    "Prompt",
    "Video",
    "as_prompt",
    "encode",
    "load",
    "mean_from_file",
    "mean_token",
    "read_mean",
    "write_mean",
]
