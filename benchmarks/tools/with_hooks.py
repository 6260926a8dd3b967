"""Plain Hugging Face with hooks, one full forward pass for each condition: the paper's way.

The model runs through SDPA; masks are only made where an edge is cut, and only the last
position's logits are computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from benchmarks.subject import Subject
from benchmarks.work import EVEN, Change, Cut, Exchange


class Tool:
    """Hooks on the decoder layers of the Hugging Face model."""

    whole = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.model = subject.model
        self.decoder = subject.model.get_decoder()

    @cached_property
    def mean(self) -> Tensor:
        """The image's mean visual token at the first layer."""
        return self._visual().mean(0)

    @torch.no_grad()
    def next_token(self, changes: Sequence[Change]) -> Tensor:
        """One forward pass each."""
        rows = []
        for change in changes:
            with self._hooked(change):
                output = self.model(**self.subject.inputs, use_cache=False, logits_to_keep=1)
            rows.append(output.logits[0, -1])
        return torch.stack(rows)

    @torch.no_grad()
    def captions(self, changes: Sequence[Change], tokens: int) -> Tensor:
        """One `generate` each."""
        rows = []
        for change in changes:
            with self._hooked(change):
                found = self.model.generate(
                    **self.subject.inputs,
                    max_new_tokens=tokens,
                    do_sample=False,
                    pad_token_id=0,
                )
            rows.append(found[0, self.subject.length :])
        return torch.stack(rows)

    @torch.no_grad()
    def lens(self, top: int) -> Tensor:
        """All logits of all layers at once."""
        output = self.model(**self.subject.inputs, output_hidden_states=True, logits_to_keep=1)
        states = torch.stack([h[0, self.subject.visual] for h in output.hidden_states])
        states[:-1] = self.decoder.norm(states[:-1])  # the last one comes normed
        return self.model.get_output_embeddings()(states).topk(top).indices

    def gradients(self, token: int, gap: float) -> tuple[Tensor, float]:
        """One full forward and backward pass for each point, without the weights' gradients.

        Midpoints, doubled until the gap is met; or the paper's even points where none is given.
        """
        with torch.no_grad():
            clean = self._visual()
        baseline = clean.mean(0).expand_as(clean)
        if not gap:
            shares = torch.linspace(0, 1, EVEN).tolist()
            total, scores = self._summed(token, baseline, clean, shares)
            return total, _missing(total, scores[-1] - scores[0])
        with torch.no_grad():
            ends = [float(self._score(tokens, token)) for tokens in (baseline, clean)]
        nodes = 8
        while True:
            shares = [(index + 0.5) / nodes for index in range(nodes)]
            total, _ = self._summed(token, baseline, clean, shares)
            left = _missing(total, ends[1] - ends[0])
            if left <= gap or nodes >= 256:
                return total, left
            nodes *= 2

    def _summed(
        self, token: int, baseline: Tensor, clean: Tensor, shares: list[float]
    ) -> tuple[Tensor, list[float]]:
        """Scores of every visual token, and what the target was at each point."""
        total, targets = torch.zeros(len(clean)), []
        for share in shares:
            tokens = (baseline + share * (clean - baseline)).requires_grad_()
            target = self._score(tokens, token)
            (gradient,) = torch.autograd.grad(target, tokens)
            total += (gradient * (clean - baseline)).sum(-1) / len(shares)
            targets.append(float(target.detach()))
        return total, targets

    @torch.no_grad()
    def _visual(self) -> Tensor:
        output = self.model(**self.subject.inputs, output_hidden_states=True, logits_to_keep=1)
        return output.hidden_states[0][0, self.subject.visual]

    def _score(self, tokens: Tensor, token: int) -> Tensor:
        with self._before_first(self.subject.visual, tokens):
            output = self.model(**self.subject.inputs, use_cache=False, logits_to_keep=1)
        return output.logits[0, -1, token]

    @cached_property
    def source(self) -> dict[tuple[int, bool], Tensor]:
        """Of the run on the other image, what enters each layer and each output projection."""
        found: dict[tuple[int, bool], Tensor] = {}
        with ExitStack() as stack:
            for layer in range(self.subject.layers):
                for heads in (False, True):

                    def keep(_: Any, args: tuple, at: tuple[int, bool] = (layer, heads)) -> None:
                        found[at] = args[0][0].clone()

                    hook = self._entered(layer, heads).register_forward_pre_hook(keep)
                    stack.callback(hook.remove)
            self.model(**self.subject.other, use_cache=False, logits_to_keep=1)
        return found

    def _entered(self, layer: int, heads: bool) -> torch.nn.Module:
        block = self.decoder.layers[layer]
        return block.self_attn.o_proj if heads else block

    @contextmanager
    def _exchanged(self, one: Exchange) -> Iterator[None]:
        """States of the other image's run at some positions, of one head or whole."""
        heads = one.head is not None
        source, where = self.source[one.layer, heads], list(one.positions)
        width = source.shape[-1] // self.subject.heads
        part = slice(one.head * width, (one.head + 1) * width) if one.head is not None else ...

        def swap(_: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            hidden = args[0].clone()
            for position in where:
                hidden[0, position, part] = source[position, part]
            return (hidden, *args[1:])

        hook = self._entered(one.layer, heads).register_forward_pre_hook(swap)
        try:
            yield
        finally:
            hook.remove()

    @contextmanager
    def _hooked(self, change: Change) -> Iterator[None]:
        with ExitStack() as stack:
            if change.exchange is not None:
                stack.enter_context(self._exchanged(change.exchange))
            if change.ablate:
                stack.enter_context(self._before_first(list(change.ablate), self.mean))
            if change.cut is not None:
                mask = mask_of(change.cut, self.subject.length, self.subject.heads)

                def cut(_: Any, args: tuple, options: dict) -> Any:
                    return args, options | {"attention_mask": mask}

                for layer in change.cut.layers:
                    module = self.decoder.layers[layer].self_attn
                    hook = module.register_forward_pre_hook(cut, with_kwargs=True)
                    stack.callback(hook.remove)
            yield

    @contextmanager
    def _before_first(self, positions: list[int], values: Tensor) -> Iterator[None]:
        """Other tokens at the first layer, in passes over the whole prompt."""

        def swap(_: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            if args[0].shape[1] != self.subject.length:
                return None
            hidden = args[0].clone()
            hidden[0, positions] = values
            return (hidden, *args[1:])

        hook = self.decoder.layers[0].register_forward_pre_hook(swap)
        try:
            yield
        finally:
            hook.remove()


def _missing(total: Tensor, difference: float) -> float:
    """The completeness gap as a share of the difference."""
    return abs(float(total.sum()) - difference) / abs(difference)


def mask_of(cut: Cut, length: int, heads: int) -> Tensor:
    """A boolean mask [1, heads, length, length] without the edges that are cut."""
    mask = torch.ones(1, heads, length, length, dtype=torch.bool).tril()
    for head in range(heads) if cut.heads is None else cut.heads:
        for query in cut.queries:
            mask[0, head, query, list(cut.keys)] = False
    return mask
