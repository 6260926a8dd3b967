"""nnsight: one trace for each condition, with the attention mask or the layer's input set in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from nnsight import NNsight
from torch import Tensor

from benchmarks.subject import Subject
from benchmarks.tools.with_hooks import mask_of
from benchmarks.work import Change, Cut, Exchange


class Tool:
    """Traces of the wrapped Hugging Face model."""

    whole = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.inputs = {**subject.inputs, "use_cache": False, "logits_to_keep": 1}
        self.model = NNsight(subject.model)

    @torch.no_grad()
    def next_token(self, changes: Sequence[Change]) -> Tensor:
        """One trace each."""
        rows, mean = [], None
        for change in changes:
            if change.cut is not None:
                rows.append(self._cut(change.cut))
            elif change.exchange is not None:
                rows.append(self._exchanged(change.exchange))
            else:
                mean = self._mean() if mean is None else mean
                rows.append(self._ablated(list(change.ablate), mean))
        return torch.stack(rows)

    @torch.no_grad()
    def lens(self, top: int) -> Tensor:
        """All states from one trace, all logits at once."""
        model, visual, count = self.model, self.subject.visual, self.subject.layers
        with model.trace(**self.inputs):
            states = [model.model.language_model.layers[0].input[0, visual].clone()]
            for index in range(count):
                states.append(model.model.language_model.layers[index].output[0, visual].clone())
            stacked = torch.stack(states).save()
        inner = self.subject.model
        return inner.lm_head(inner.get_decoder().norm(stacked)).topk(top).indices

    def _cut(self, cut: Cut) -> Tensor:
        model, chosen = self.model, cut.layers
        mask = mask_of(cut, self.subject.length, self.subject.heads)
        with model.trace(**self.inputs):
            for layer in chosen:
                attention = model.model.language_model.layers[layer].self_attn
                args, options = attention.inputs
                attention.inputs = (args, {**options, "attention_mask": mask})
            row = model.lm_head.output[0, -1].save()
        return row

    def _ablated(self, positions: list[int], mean: Tensor) -> Tensor:
        model = self.model
        with model.trace(**self.inputs):
            hidden = model.model.language_model.layers[0].input.clone()
            hidden[:, positions] = mean
            model.model.language_model.layers[0].input = hidden
            row = model.lm_head.output[0, -1].save()
        return row

    @cached_property
    def source(self) -> dict[tuple[int, bool], Tensor]:
        """Of the run on the other image, what enters each layer and each output projection."""
        model, found = self.model, {}
        with model.trace(**{**self.inputs, "pixel_values": self.subject.other["pixel_values"]}):
            for layer in range(self.subject.layers):
                block = model.model.language_model.layers[layer]
                found[layer, False] = block.input.clone().save()
                found[layer, True] = block.self_attn.o_proj.input.clone().save()
        return found

    def _exchanged(self, one: Exchange) -> Tensor:
        model, where = self.model, list(one.positions)
        source = self.source[one.layer, one.head is not None]
        width = source.shape[-1] // self.subject.heads
        with model.trace(**self.inputs):
            block = model.model.language_model.layers[one.layer]
            if one.head is None:
                hidden = block.input.clone()
                hidden[:, where] = source[:, where]
                block.input = hidden
            else:
                part = slice(one.head * width, (one.head + 1) * width)
                hidden = block.self_attn.o_proj.input.clone()
                hidden[:, where, part] = source[:, where, part]
                block.self_attn.o_proj.input = hidden
            row = model.lm_head.output[0, -1].save()
        return row

    def _mean(self) -> Tensor:
        model, visual = self.model, self.subject.visual
        with model.trace(**self.inputs):
            mean = model.model.language_model.layers[0].input[0, visual].mean(0).save()
        return mean
