"""Descriptions: free texts, which end early where what follows can't change their score."""

from __future__ import annotations

from retinoscope.engine import Generation, Recording, Stop, generate
from retinoscope.models import Checkpoint
from retinoscope.tasks import settled


def until_settled(checkpoint: Checkpoint, class_name: str) -> Stop:
    """Ends a description once it names the class for good (`tasks.settled`)."""
    return lambda tokens: settled(class_name, checkpoint.text(tokens))


def description(recording: Recording, class_name: str) -> Generation:
    """The clean run's description, ended early where it names the class."""
    stop = until_settled(recording.checkpoint, class_name)
    return generate(recording, [()], stop=stop)[0]


def told(checkpoint: Checkpoint, found: Generation) -> str:
    """A description as it is recorded: " …" stands where the model would have gone on."""
    text = checkpoint.text(found.tokens)
    return text if found.ended else f"{text} \u2026"
