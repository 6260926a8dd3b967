"""Records one clean run of a model and evaluates many conditions against it."""

from retinoscope.engine.evaluate import Outcome, evaluate
from retinoscope.engine.generate import Generation, generate
from retinoscope.engine.look import look
from retinoscope.engine.record import record
from retinoscope.engine.recording import Recording

__all__ = ["Generation", "Outcome", "Recording", "evaluate", "generate", "look", "record"]
