"""Retinoscope: recorded once for each piece of work; the recording is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.subject import Subject
from benchmarks.work import Change
from retinoscope.attribution import integrated_gradients
from retinoscope.engine import Recording, capture, evaluate, generate, record
from retinoscope.engine.generate import end_tokens
from retinoscope.geometry import PatchGrid, Tile
from retinoscope.interventions import Ablate, Condition, Knockout, Patch, SitePatch
from retinoscope.lens import read_lens
from retinoscope.models import Checkpoint, Encoded, Family
from retinoscope.models.checkpoint import find_parts
from retinoscope.tokens import TokenLayout, VisualSpan

LONGEST = 60
"""Most tokens that a work generates."""


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
        self.visual, self.other = subject.visual, subject.other
        # The comparisons made once for each model, once more for a longer sequence than before, and
        # for each kind of site that is read or written.
        record(self.checkpoint, self.encoded, max_new_tokens=LONGEST)
        recording = record(self.checkpoint, self.encoded)
        heads = capture(recording, "z", layers=[0])["z.0"][-1:]
        evaluate(recording, [(SitePatch([recording.length - 1], "z.0", heads, 0),)])

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
        found: list[Condition] = self._exchanged(changes)
        for change in changes if not found else ():
            if change.cut is None:
                found.append((Ablate(change.ablate, mean),))
            else:
                cut = change.cut
                found.append((Knockout(cut.queries, cut.keys, cut.layers, cut.heads),))
        return found

    def _exchanged(self, changes: Sequence[Change]) -> list[Condition]:
        """Patches from a recording of the other image; none where nothing is exchanged."""
        asked = [change.exchange for change in changes if change.exchange is not None]
        if not asked:
            return []
        source = record(self.checkpoint, replace(self.encoded, inputs=self.other))
        layers = sorted({one.layer for one in asked if one.head is not None})
        heads = capture(source, "z", layers=layers).load() if layers else {}
        found: list[Condition] = []
        for one in asked:
            where = list(one.positions)
            if one.head is None:
                found.append((Patch(where, one.layer, source.residual(one.layer)[where]),))
            else:
                site = f"z.{one.layer}"
                found.append((SitePatch(where, site, heads[site][where], one.head),))
        return found
