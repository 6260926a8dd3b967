"""vlmprobe: its joint knockout and its logit lens, one run for each condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from vlmprobe import Prober

from benchmarks.subject import Subject
from benchmarks.work import Change, sampled


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
        if any(change.exchange for change in changes):
            return torch.stack(self._exchanged(changes))
        return torch.stack([self._one(change) for change in changes])

    def sampled(self, changes: Sequence[Change], count: int) -> list[int]:
        """All layers of one group of positions, since the two plain runs are made once for each."""
        first = changes[0].exchange
        if first is None:
            return sampled(changes, count)
        where = [
            i
            for i, c in enumerate(changes)
            if c.exchange and c.exchange.positions == first.positions
        ]
        return where

    def _exchanged(self, changes: Sequence[Change]) -> list[Tensor]:
        """Its patching of several layers at once: two plain runs, and one for each layer."""
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, change in enumerate(changes):
            one = change.exchange
            if one is None or one.head is not None:
                raise NotOffered("patching replaces whole states, not those of one head")
            groups.setdefault(one.positions, []).append(index)
        found: dict[int, Tensor] = {}
        for positions, members in groups.items():
            seen: list[Tensor] = []

            def metric(logits: Tensor, *_: Any, seen: list[Tensor] = seen) -> Tensor:
                seen.append(logits[0, -1])
                return logits[:, -1, 0]

            # What leaves a layer enters the next.
            layers = [changes[i].exchange.layer - 1 for i in members]  # pyright: ignore
            patch = self.probe.causal.patch(layers=layers, tokens=list(positions))
            patch.run(self.subject.inputs, source=self.subject.other, metric=metric)
            found.update(zip(members, seen[-len(members) :], strict=True))
        return [found[index] for index in range(len(changes))]

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
