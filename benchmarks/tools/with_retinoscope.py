"""Retinoscope: recorded once for each piece of work; the recording is counted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.subject import Subject
from benchmarks.work import Change
from retinoscope.attribution import integrated_gradients
from retinoscope.engine import Recording, evaluate, generate, record
from retinoscope.engine.generate import end_tokens
from retinoscope.geometry import PatchGrid, Tile
from retinoscope.interventions import Ablate, Condition, Knockout
from retinoscope.lens import read_lens
from retinoscope.models import Checkpoint, Encoded, Family
from retinoscope.models.checkpoint import find_parts
from retinoscope.tokens import TokenLayout, VisualSpan


class Tool:
    """Everything from one clean run."""

    whole = True

    def __init__(self, subject: Subject) -> None:
        side, model = subject.side, subject.model
        grid = PatchGrid((side, side), (Tile(side, side, (0, 0, side, side)),))
        family = Family("benchmark", (), lambda *_: grid)
        self.checkpoint = Checkpoint("benchmark", "", {}, model, None, family, find_parts(model))
        layout = TokenLayout(subject.length, (VisualSpan(tuple(subject.visual), grid),))
        self.encoded = Encoded(subject.inputs, layout, "")
        self.visual = subject.visual
        record(self.checkpoint, self.encoded)  # the comparison made once for each model
        record(self.checkpoint, self.encoded, max_new_tokens=3)

    def next_token(self, changes: Sequence[Change]) -> Tensor:
        """From one recording."""
        recording = record(self.checkpoint, self.encoded)
        return evaluate(recording, self._conditions(changes, recording)).logits

    def captions(self, changes: Sequence[Change], tokens: int) -> Tensor:
        """From one recording."""
        recording = record(self.checkpoint, self.encoded, max_new_tokens=tokens)
        answers = generate(recording, self._conditions(changes, recording))
        # As `generate` of transformers gives them: with the token that ends a text.
        ends = sorted(end_tokens(recording))[:1]
        return torch.tensor([[*one.tokens, *(ends if one.ended else [])] for one in answers])

    def lens(self, top: int) -> Tensor:
        """In chunks."""
        recording = record(self.checkpoint, self.encoded)
        return read_lens(recording, self.visual, k=top).ids

    def gradients(self, token: int, gap: float) -> tuple[Tensor, float]:
        """From the image's mean token."""
        recording = record(self.checkpoint, self.encoded)
        mean = recording.residual(0)[self.visual].mean(0)
        found = integrated_gradients(recording, token, baseline=mean, tolerance=gap)
        return found.score, found.gap / abs(found.difference)

    def _conditions(self, changes: Sequence[Change], recording: Recording) -> list[Condition]:
        mean = recording.residual(0)[self.visual].mean(0)
        found: list[Condition] = []
        for change in changes:
            if change.cut is None:
                found.append((Ablate(change.ablate, mean),))
            else:
                cut = change.cut
                found.append((Knockout(cut.queries, cut.keys, cut.layers, cut.heads),))
        return found
