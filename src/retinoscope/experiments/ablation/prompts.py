"""Prompts: what an object's tasks ask, each with its clean run and what scores the next token."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.engine import Recording, look
from retinoscope.experiments.description import description
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target
from retinoscope.models import Checkpoint
from retinoscope.tasks import Query, first_tokens
from retinoscope.tasks.words import first_mention


@dataclass(frozen=True, eq=False)
class Prompted:
    """One task, its prompts recorded.

    Attributes:
        query: the task.
        recording: the clean run of its prompt; with max_new_tokens where it is answered by a text.
        probe: what scores the next token: the task itself, or for a description the question for
            the object's word, right where the clean text names it; None where it does not.
        probed: the clean run of the probe's prompt.
    """

    query: Query
    recording: Recording
    probe: Query | None
    probed: Recording

    @property
    def recordings(self) -> list[Recording]:
        """What is answered: the task's own recording, and the probe's where it is another."""
        return [self.recording] if self.probed is self.recording else [self.recording, self.probed]


def prompted(checkpoint: Checkpoint, target: Target, query: Query, settings: Settings) -> Prompted:
    """One task about an object, its prompts recorded."""
    if not query.written:
        recording = look(checkpoint, target.image, query.question, prefix=query.prefix)
        return Prompted(query, recording, query, recording)
    length = settings.max_new_tokens
    recording = look(checkpoint, target.image, query.question, max_new_tokens=length)
    clean = description(recording, target.class_name)
    probe = _mention(checkpoint, query, checkpoint.text(clean.tokens))
    if probe is None:
        return Prompted(query, recording, None, recording)
    probed = look(checkpoint, target.image, query.question, prefix=probe.prefix)
    return Prompted(query, recording, probe, probed)


def _mention(checkpoint: Checkpoint, query: Query, clean: str) -> Query | None:
    """The query for the object's word, right where the clean description names it."""
    span = first_mention(clean, query.class_name)
    if span is None:
        return None
    right = first_tokens(checkpoint.tokenizer, [clean[span[0] : span[1]]])
    if not right:
        return None
    return Query(query.task, query.class_name, query.question, clean[: span[0]].rstrip(), right)
