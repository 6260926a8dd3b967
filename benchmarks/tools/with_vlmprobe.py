"""vlmprobe: its joint knockout and its logit lens, one run for each condition."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from vlmprobe import Prober

from benchmarks.subject import Subject
from benchmarks.work import Change


class NotOffered(Exception):
    """The tool has no way to do this."""


class Tool:
    """A Prober bound to the Hugging Face model, which it wants with eager attention."""

    whole = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        subject.model.set_attn_implementation("eager")
        self.probe = Prober(subject.model)

    @torch.no_grad()
    def next_token(self, changes: Sequence[Change]) -> Tensor:
        """One run each."""
        return torch.stack([self._one(change) for change in changes])

    def _one(self, change: Change) -> Tensor:
        if change.cut is None:
            raise NotOffered("patching takes another input as its source, not a vector")
        if change.cut.heads is not None:
            raise NotOffered("knockout acts on all heads of a layer")
        knockout = self.probe.causal.knockout(
            layers=list(change.cut.layers),
            queries=list(change.cut.queries),
            keys=list(change.cut.keys),
            joint=True,
        )
        return knockout.forward(self.subject.inputs).logits[0, -1]
