"""By hand: what an expert writes for each row when it has to be fast.

A clean pass whose keys and values are kept, only the positions behind the first change run again,
conditions that begin alike in one batch, greedy decoding of all conditions at once, quadrature that
needs few points. Right for this one kind of model, whose layers are all alike; nothing is checked.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from benchmarks.subject import Subject
from benchmarks.work import Change

ROWS = 64
"""Conditions in one batch at most."""
POINTS = 8
"""Points of the integral in one batch at most."""


class Tool:
    """One clean pass, and suffixes behind it."""

    whole = True

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.model, self.decoder = subject.model, subject.model.get_decoder()

    @torch.no_grad()
    def next_token(self, changes: Sequence[Change]) -> Tensor:
        """Batches of conditions whose first changed position is the same."""
        rows = torch.empty(len(changes), self.model.config.text_config.vocab_size)
        order = sorted(range(len(changes)), key=lambda index: _first(changes[index]))
        for start, same in groupby(order, key=lambda index: _first(changes[index])):
            members = list(same)
            for at in range(0, len(members), ROWS):
                some = members[at : at + ROWS]
                states, _ = self._suffix(start, [changes[index] for index in some])
                rows[some] = self.model.lm_head(states[:, -1])
        return rows

    @torch.no_grad()
    def captions(self, changes: Sequence[Change], tokens: int) -> Tensor:
        """Each prompt from its first change on, then all of them token by token together."""
        passed = [self._suffix(_first(change), [change]) for change in changes]
        cache = _joined([kept for _, kept in passed])
        states = torch.cat([states[:, -1:] for states, _ in passed])
        chosen: list[Tensor] = []
        end = self.model.generation_config.eos_token_id
        while len(chosen) < tokens:
            chosen.append(self.model.lm_head(states[:, -1]).argmax(-1))
            if end is not None and bool((torch.stack(chosen, 1) == end).any(1).all()):
                break
            words = self.model.get_input_embeddings()(chosen[-1][:, None])
            states = self.decoder(inputs_embeds=words, past_key_values=cache).last_hidden_state
        rows = torch.stack(chosen, 1)
        if end is not None:  # as `generate` pads what has ended
            ended = rows == end
            rows = rows.masked_fill(ended.cumsum(1) > ended.long(), 0)
        return rows

    @torch.no_grad()
    def lens(self, top: int) -> Tensor:
        """The logits of one layer at a time."""
        output = self.model(**self.subject.inputs, output_hidden_states=True, logits_to_keep=1)
        *before, last = (states[0, self.subject.visual] for states in output.hidden_states)
        normed = [*map(self.decoder.norm, before), last]  # the last one comes normed
        return torch.stack([self.model.lm_head(states).topk(top).indices for states in normed])

    def gradients(self, token: int, gap: float) -> tuple[Tensor, float]:
        """Gauss-Legendre points, twice as many until the gap is met."""
        clean = self._clean.hidden_states[0][0, self.subject.visual]
        baseline = clean.mean(0).expand_as(clean)
        with torch.no_grad():
            ends = self._scores(torch.stack([baseline, clean]), token)
        difference = float(ends[1] - ends[0])
        count = 4
        while True:
            places, weights = np.polynomial.legendre.leggauss(count)
            total = torch.zeros(len(clean))
            for at in range(0, count, POINTS):
                shares = torch.tensor((places[at : at + POINTS] + 1) / 2, dtype=torch.float32)
                tokens = baseline + shares[:, None, None] * (clean - baseline)
                score = self._scores(tokens.requires_grad_(), token)
                (slope,) = torch.autograd.grad(score.sum(), tokens)
                heavy = torch.tensor(weights[at : at + POINTS] / 2, dtype=torch.float32)
                total += torch.einsum("n,npw,pw->p", heavy, slope, clean - baseline)
            left = abs(float(total.sum()) - difference) / abs(difference)
            if left <= gap or count >= 256:
                return total, left
            count *= 2

    @cached_property
    def _clean(self) -> Any:
        """The clean pass."""
        with torch.no_grad():
            return self.model(
                **self.subject.inputs, output_hidden_states=True, use_cache=True, logits_to_keep=1
            )

    @cached_property
    def _other(self) -> tuple[Sequence[Tensor], list[Tensor]]:
        """Of the other image, what enters each layer and each output projection."""
        heads: list[Tensor] = []
        with ExitStack() as stack:
            for layer in self.decoder.layers:
                hook = layer.self_attn.o_proj.register_forward_pre_hook(
                    lambda _, args: heads.append(args[0][0])
                )
                stack.callback(hook.remove)
            passed = self.model(
                **self.subject.other, output_hidden_states=True, use_cache=False, logits_to_keep=1
            )
        return [states[0] for states in passed.hidden_states], heads

    def _behind(self, start: int, rows: int) -> DynamicCache:
        """Keys and values of the clean pass before a position, for so many rows."""
        cache = copy.deepcopy(self._clean.past_key_values)
        cache.crop(start - self.subject.length)
        cache.batch_repeat_interleave(rows)
        return cache

    def _suffix(self, start: int, changes: Sequence[Change]) -> tuple[Tensor, DynamicCache]:
        """The last states of a batch from a position on, and its keys and values."""
        hidden = self._clean.hidden_states[0][:, start:].repeat(len(changes), 1, 1)
        for row, change in enumerate(changes):
            if change.ablate:
                mean = self._clean.hidden_states[0][0, self.subject.visual].mean(0)
                hidden[row, [position - start for position in change.ablate]] = mean
        cache = self._behind(start, len(changes))
        with self._hooked(start, changes):
            output = self.decoder(inputs_embeds=hidden, past_key_values=cache, use_cache=True)
        return output.last_hidden_state, cache

    @contextmanager
    def _hooked(self, start: int, changes: Sequence[Change]) -> Iterator[None]:
        """Masks and exchanged states, in the layers that have any."""
        with ExitStack() as stack:
            for index, layer in enumerate(self.decoder.layers):
                cut = [c for c in changes if c.cut is not None and index in c.cut.layers]
                if cut:
                    hand = _handing(self._mask(start, index, changes))
                    hook = layer.self_attn.register_forward_pre_hook(hand, with_kwargs=True)
                    stack.callback(hook.remove)
                swapped = [
                    (row, change.exchange)
                    for row, change in enumerate(changes)
                    if change.exchange is not None and change.exchange.layer == index
                ]
                for row, one in swapped:
                    module = layer if one.head is None else layer.self_attn.o_proj
                    source = self._other[0 if one.head is None else 1][index]
                    part = self._part(one.head)
                    where = list(one.positions)
                    at = [position - start for position in where]
                    hook = module.register_forward_pre_hook(
                        _swapping(row, at, part, source[where][:, part])
                    )
                    stack.callback(hook.remove)
            yield

    def _mask(self, start: int, layer: int, changes: Sequence[Change]) -> Tensor:
        length, all_heads = self.subject.length, self.subject.heads
        single = any(change.cut is not None and change.cut.heads for change in changes)
        mask = torch.ones(length, length, dtype=torch.bool).tril()[start:]
        mask = mask.repeat(len(changes), all_heads if single else 1, 1, 1)
        for row, change in enumerate(changes):
            if change.cut is None or layer not in change.cut.layers:
                continue
            queries = torch.tensor(change.cut.queries)[:, None] - start
            for head in change.cut.heads or range(mask.shape[1]):
                mask[row, head, queries, list(change.cut.keys)] = False
        return mask

    def _part(self, head: int | None) -> slice:
        width = self.model.config.text_config.hidden_size // self.subject.heads
        return slice(None) if head is None else slice(head * width, (head + 1) * width)

    def _scores(self, tokens: Tensor, token: int) -> Tensor:
        """A logit for each of several images' tokens, without tower and text before the image."""
        start, stop = self.subject.visual[0], self.subject.visual[-1] + 1
        text = self._clean.hidden_states[0][:, stop:].expand(len(tokens), -1, -1)
        cache = self._behind(start, len(tokens))
        output = self.decoder(inputs_embeds=torch.cat([tokens, text], 1), past_key_values=cache)
        return self.model.lm_head(output.last_hidden_state[:, -1])[:, token]


def _first(change: Change) -> int:
    """The first position that a change reaches."""
    if change.cut is not None:
        return min(change.cut.queries)
    return min(change.ablate if change.exchange is None else change.exchange.positions)


def _joined(caches: Sequence[DynamicCache]) -> DynamicCache:
    """The caches of prompts of one length as one of a batch."""
    joined = DynamicCache()
    for index, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        keys, values = (torch.cat([vars(one)[n] for one in layers]) for n in ("keys", "values"))
        joined.update(keys, values, index)
    return joined


def _handing(mask: Tensor) -> Callable[..., Any]:
    return lambda _, args, options: (args, options | {"attention_mask": mask})


def _swapping(row: int, at: list[int], part: slice, states: Tensor) -> Callable[..., Any]:
    def swap(_: Any, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = args[0].clone()
        for number, position in enumerate(at):
            hidden[row, position, part] = states[number]
        return (hidden, *args[1:])

    return swap
