"""interpkit: one forward pass for each condition, under its interventions on modules' outputs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property

import interpkit
import torch
from interpkit.core.interventions import FnIntervention, PatchIntervention
from torch import Tensor

from benchmarks.subject import Subject
from benchmarks.work import Change, Exchange

LAYER, PROJECTOR = "model.language_model.layers.{}", "model.multi_modal_projector"


class NotOffered(Exception):
    """The tool has no way to do this."""


class Tool:
    """The wrapped Hugging Face model."""

    whole = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.inputs = {**subject.inputs, "use_cache": False, "logits_to_keep": 1}
        self.model = interpkit.load_module(subject.model, subject.inputs, device="cpu")

    @torch.no_grad()
    def next_token(self, changes: Sequence[Change]) -> Tensor:
        """One pass each."""
        rows = []
        for change in changes:
            with self.model.intervene(self._intervention(change)):
                rows.append(self.subject.model(**self.inputs).logits[0, -1])
        return torch.stack(rows)

    def _intervention(self, change: Change) -> FnIntervention | PatchIntervention:
        if change.cut is not None:
            raise NotOffered("it changes outputs of modules, not attention")
        if change.exchange is None:
            return self._ablated([self.subject.visual.index(one) for one in change.ablate])
        return self._exchanged(change.exchange)

    def _ablated(self, numbers: list[int]) -> FnIntervention:
        def ablate(tokens: Tensor, _: object) -> Tensor:
            found = tokens.clone()
            found[..., numbers, :] = tokens.mean(-2, keepdim=True)
            return found

        return FnIntervention(PROJECTOR, fn=ablate)

    def _exchanged(self, one: Exchange) -> PatchIntervention:
        if one.head is not None:
            raise NotOffered("a head is patched by a call that gives an effect, not logits")
        source = self.source[one.layer - 1]
        return PatchIntervention(
            LAYER.format(one.layer - 1), positions=list(one.positions), source=source
        )

    @cached_property
    def source(self) -> list[Tensor]:
        """Of the run on the other image, what leaves each layer."""
        found: list[Tensor] = []

        def keep(states: Tensor, _: object) -> Tensor:
            found.append(states.clone())
            return states

        with ExitStack() as stack:
            for layer in range(self.subject.layers):
                stack.enter_context(
                    self.model.intervene(FnIntervention(LAYER.format(layer), fn=keep))
                )
            self.subject.model(**self.subject.other, use_cache=False, logits_to_keep=1)
        return found
