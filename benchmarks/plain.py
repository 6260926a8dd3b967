"""The plain way to run the experiments' conditions: whole forward passes, batched or not.

Vision features are computed once, ablated token sequences are stacked into batches, attention is
cut by masks that hooks hand to every layer, generation keeps a cache of keys and values: what a
careful author writes without an engine. In batches of one it is what the tools of this field do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from retinoscope.engine import Generation, Outcome, Recording, Response, Stop
from retinoscope.engine.answer import Asked
from retinoscope.engine.edits.checks import Checked
from retinoscope.interventions import Condition, Edge, Edits, Site, Write, as_condition

rows = 32
"""Conditions in one batch; `benchmarks.reproduce` sets it."""


@torch.no_grad()
def evaluate(recording: Recording, conditions: Sequence[Condition]) -> Outcome:
    """As `retinoscope.engine.evaluate` for the last position."""
    logits = [
        _logits(recording, _decode(recording, some)[0][:, -1])
        for some in _batches(recording, conditions)
    ]
    return Outcome(torch.cat(logits).float())


@torch.no_grad()
def generate(
    recording: Recording, conditions: Sequence[Condition], *, stop: Stop | None = None
) -> list[Generation]:
    """As `retinoscope.engine.generate` for as many tokens as the recording is for."""
    found = []
    for some in _batches(recording, conditions):
        cache = DynamicCache(config=recording.checkpoint.model.config.get_text_config())
        states, _ = _decode(recording, some, cache)
        chosen: list[Tensor] = []
        likely: list[Tensor] = []
        for _ in range(recording.max_new_tokens):
            shares = _logits(recording, states[:, -1]).float().softmax(-1)
            likely.append(shares.max(-1).values)
            chosen.append(shares.argmax(-1))
            if all(_done(row, _end(recording), stop) for row in torch.stack(chosen, 1).tolist()):
                break
            words = recording.checkpoint.model.get_input_embeddings()(chosen[-1][:, None])
            decoder = recording.checkpoint.parts.decoder
            states = decoder(
                inputs_embeds=words, past_key_values=cache, use_cache=True
            ).last_hidden_state
        found += _answers(torch.stack(chosen, 1), torch.stack(likely, 1), _end(recording), stop)
    return found


def answer(asked: Sequence[Asked], *, stop: Stop | None = None) -> list[Response]:
    """As `retinoscope.engine.answer`, each prompt by itself."""
    return [
        Response(
            evaluate(one, some), tuple(generate(one, some, stop=stop)) if one.max_new_tokens else ()
        )
        for one, some in asked
    ]


def _batches(recording: Recording, conditions: Sequence[Condition]) -> Iterator[list[Edits]]:
    check = Checked(recording)
    edits = [check.edits(as_condition(condition)) for condition in conditions]
    yield from (edits[at : at + rows] for at in range(0, len(edits), rows))


def _decode(
    recording: Recording, edits: Sequence[Edits], cache: DynamicCache | None = None
) -> tuple[Tensor, DynamicCache | None]:
    """All layers on all positions of one batch."""
    hidden = recording.residual(0).repeat(len(edits), 1, 1)
    for row, one in enumerate(edits):
        for write in (edit for edit in one if isinstance(edit, Write)):
            if write.site != Site("resid_pre", 0) or not isinstance(write.value, Tensor):
                raise ValueError("the experiments write to the first layer's input alone")
            hidden[row, list(write.positions)] = write.value.to(hidden)
    with _cut(recording, edits):
        output = recording.checkpoint.parts.decoder(
            inputs_embeds=hidden, past_key_values=cache, use_cache=cache is not None
        )
    return output.last_hidden_state, cache


def _edges(edits: Edits) -> list[Edge]:
    return [edit for edit in edits if isinstance(edit, Edge)]


@contextmanager
def _cut(recording: Recording, edits: Sequence[Edits]) -> Iterator[None]:
    layers, length = recording.checkpoint.parts.layers, recording.length
    hooks = []
    for place, layer in enumerate(layers):
        if not any(edge.layer == place for one in edits for edge in _edges(one)):
            continue
        heads = recording.checkpoint.model.config.get_text_config().num_attention_heads
        mask = torch.ones(len(edits), heads, length, length, dtype=torch.bool).tril()
        for row, one in enumerate(edits):
            for edge in _edges(one):
                if edge.layer == place:
                    chosen = edge.heads or range(heads)
                    for head in chosen:
                        for query in edge.queries:
                            mask[row, head, query, list(edge.keys)] = False

        def hand(_: Any, args: Any, options: dict[str, Any], mask: Tensor = mask) -> Any:
            return args, options | {"attention_mask": mask}

        hooks.append(layer.self_attn.register_forward_pre_hook(hand, with_kwargs=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _logits(recording: Recording, states: Tensor) -> Tensor:
    return recording.checkpoint.model.get_output_embeddings()(states)


def _end(recording: Recording) -> int:
    return int(recording.checkpoint.model.generation_config.eos_token_id)


def _done(row: list[int], end: int, stop: Stop | None) -> bool:
    return end in row or (stop is not None and stop(row))


def _answers(tokens: Tensor, likely: Tensor, end: int, stop: Stop | None) -> list[Generation]:
    found = []
    for row, shares in zip(tokens.tolist(), likely.tolist(), strict=True):
        # In a batch a row goes on until the last one is done.
        counts = range(1, len(row) + 1)
        row = row[: next((n for n in counts if _done(row[:n], end, stop)), len(row))]
        ended = end in row
        count = row.index(end) if ended else len(row)
        found.append(Generation(tuple(row[:count]), tuple(shares[:count]), ended))
    return found
