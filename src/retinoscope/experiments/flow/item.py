"""Item: one question about one object, its clean run, and how far its answer holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from retinoscope.engine import Recording, evaluate, look
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.contrast import Contrast, contrast
from retinoscope.experiments.flow.settings import FlowSettings
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.target import Target
from retinoscope.interventions import Condition
from retinoscope.tasks import Query
from retinoscope.tokens import TokenSet


@dataclass(frozen=True, eq=False)
class Run:
    """One run's two figures.

    Attributes:
        ld: the right token's logit less the wrong one's.
        right: whether the first choice is right.
    """

    ld: float
    right: bool


@dataclass(frozen=True, eq=False)
class Item:
    """One question about one object.

    Attributes:
        target: the object.
        query: the question.
        recording: its clean run.
        contrast: the two tokens compared.
        tokens: the object's visual tokens.
        clean: the clean run's figures.
    """

    target: Target
    query: Query
    recording: Recording
    contrast: Contrast
    tokens: TokenSet
    clean: Run

    @property
    def visual(self) -> tuple[int, ...]:
        """Positions of the visual tokens, ascending."""
        return self.recording.layout.visual

    def runs(self, conditions: Sequence[Condition]) -> list[Run]:
        """The figures under each condition; those that are the same object are run once."""
        own = list({id(one): one for one in conditions}.values())
        logits = evaluate(self.recording, own).logits if own else []
        found = {id(one): self.run(row) for one, row in zip(own, logits, strict=True)}
        return [found[id(one)] for one in conditions]

    def run(self, logits: Tensor) -> Run:
        """The figures of one run's next-token logits."""
        right = int(logits.argmax()) in self.query.right
        return Run(float(self.contrast.difference(logits)), right)


def item_of(bench: Bench[FlowSettings], target: Target, query: Query) -> Item:
    """Look at one object with one question.

    Raises:
        SampleError, SelectionError, TokenMapError: this object can't be measured.
        ModelError: this model can't be.
    """
    recording = look(bench.checkpoint, target.image, query.question, prefix=query.prefix)
    chosen = contrast(recording.logits, query.right)
    tokens = object_tokens(recording.layout, target.mask, bench.settings)
    right = int(recording.logits.argmax()) in query.right
    clean = Run(float(chosen.difference(recording.logits)), right)
    return Item(target, query, recording, chosen, tokens, clean)
