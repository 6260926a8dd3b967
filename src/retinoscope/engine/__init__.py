"""Records one clean run of a model and evaluates many conditions against it."""

from retinoscope.engine.answer import Response, answer
from retinoscope.engine.capture import Activations, capture, changed_stream
from retinoscope.engine.evaluate import Outcome, evaluate
from retinoscope.engine.forced import extended, forced
from retinoscope.engine.generate import Generation, Stop, generate
from retinoscope.engine.gradient import Score, gradient
from retinoscope.engine.look import look
from retinoscope.engine.record import record
from retinoscope.engine.recording.recording import Recording, Replay, Unreplayable
from retinoscope.engine.recording.sites import SiteTable
from retinoscope.engine.streams import changed_streams

__all__ = [
    "Activations",
    "Generation",
    "Outcome",
    "Recording",
    "Replay",
    "Response",
    "Score",
    "SiteTable",
    "Stop",
    "Unreplayable",
    "answer",
    "capture",
    "changed_stream",
    "changed_streams",
    "evaluate",
    "extended",
    "forced",
    "generate",
    "gradient",
    "look",
    "record",
]
