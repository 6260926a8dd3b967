"""The ten lines of Python: a model, a view of one prompt, and what to ask of it."""

from retinoscope.api.answering import answers
from retinoscope.api.exchanging import Interchange, interchange
from retinoscope.api.explain_poll import Finding, PollExplanation, explain_poll
from retinoscope.api.explained import Explained
from retinoscope.api.forced import Forced
from retinoscope.api.lens import Lens
from retinoscope.api.loading import EMBEDDED, MEAN_COUNT, load, mean_token
from retinoscope.api.polling import Leaning, yes
from retinoscope.api.routing import Paths, paths
from retinoscope.api.scores import Attributed, Scores
from retinoscope.api.seen import SeenFrame, SeenImage, SeenVideo
from retinoscope.api.selecting import Tokens
from retinoscope.api.view import View
from retinoscope.api.vlm import VLM
from retinoscope.api.words import Predictions, Word
from retinoscope.models import Prompt, Video

__all__ = [
    "EMBEDDED",
    "MEAN_COUNT",
    "VLM",
    "Attributed",
    "Explained",
    "Finding",
    "Forced",
    "Interchange",
    "Leaning",
    "Lens",
    "Paths",
    "PollExplanation",
    "Predictions",
    "Prompt",
    "Scores",
    "SeenFrame",
    "SeenImage",
    "SeenVideo",
    "Tokens",
    "Video",
    "View",
    "Word",
    "answers",
    "explain_poll",
    "interchange",
    "load",
    "mean_token",
    "paths",
    "yes",
]
