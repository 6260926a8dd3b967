"""The plain way: eager attention, hooks, one full forward pass for each condition.

Shares no code with the engine: writes are pre-hooks on decoder layers, cut edges are put into the
additive mask that each attention module is called with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from retinoscope.interventions import Edge, Edits, Write
from retinoscope.models import Checkpoint, Encoded


@torch.no_grad()
def oracle(checkpoint: Checkpoint, encoded: Encoded, edits: Edits) -> Tensor:
    """Logits at every position."""
    model = checkpoint.model
    with eager(model), hooked(checkpoint, edits, encoded.layout.length):
        return model(**encoded.inputs, use_cache=False).logits[0].float()


@torch.no_grad()
def oracle_generate(
    checkpoint: Checkpoint, encoded: Encoded, edits: Edits, length: int
) -> list[int]:
    """Greedy tokens by the model's own `generate` and cache, up to the end of text.

    The cache is one that keeps what has left a sliding window, so that keys can be told apart by
    their position; the model's mask hides them.
    """
    model = checkpoint.model
    with eager(model), hooked(checkpoint, edits, encoded.layout.length):
        tokens = model.generate(
            **encoded.inputs,
            max_new_tokens=length,
            do_sample=False,
            pad_token_id=0,
            past_key_values=DynamicCache() if slides(model) else None,
        )[0].tolist()
    prompt = encoded.inputs["input_ids"][0].tolist()
    return tokens[len(prompt) :] if tokens[: len(prompt)] == prompt else tokens


def slides(model: Any) -> bool:
    """Whether some layers read through a sliding window."""
    return bool(getattr(model.config.get_text_config(), "sliding_window", None))


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """The model with eager attention, and back."""
    configs = {
        id(module.config): module.config for module in model.modules() if hasattr(module, "config")
    }
    before = {key: config._attn_implementation for key, config in configs.items()}
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation = before[key]


@contextmanager
def hooked(checkpoint: Checkpoint, edits: Edits, length: int) -> Iterator[None]:
    """One condition in force; in single-token steps of generation, knockouts of the last alone."""
    layers = checkpoint.parts.layers
    hooks = []
    for index, layer in enumerate(layers):
        writes = _writes(edits, index, length)
        hooks.append(layer.register_forward_pre_hook(writes, prepend=True, with_kwargs=True))
        module = attention_of(layer)
        if module is not None:
            cuts = _cuts(edits, index, length)
            hooks.append(module.register_forward_pre_hook(cuts, with_kwargs=True))
    for index, layer in enumerate(layers):
        after = _at(edits, "resid_post", index)
        if after:
            hook = lambda _m, _a, out, after=after: _write_all(out, after)  # noqa: E731
            hooks.append(layer.register_forward_hook(hook))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def attention_of(layer: nn.Module) -> nn.Module | None:
    """The module of a decoder layer that attends."""
    for name in ("self_attn", "cross_attn"):
        if hasattr(layer, name):
            return getattr(layer, name)
    return None


def _write_all(output: Any, writes: Sequence[Any]) -> Any:
    hidden = (output[0] if isinstance(output, tuple) else output).clone()
    for write in writes:
        for position, value in zip(write.positions, write.value, strict=True):
            old = hidden[..., position, :]
            hidden[..., position, :] = old + value if write.add else value
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden


def _at(edits: Edits, name: str, layer: int) -> list[Write]:
    return [
        e for e in edits if isinstance(e, Write) and (e.site.name, e.site.layer) == (name, layer)
    ]


def _writes(edits: Edits, index: int, length: int) -> Any:
    writes = _at(edits, "resid_pre", index)

    def hook(_: nn.Module, args: tuple, options: dict) -> Any:
        hidden = args[0] if args else options["hidden_states"]
        if not writes or hidden.shape[-2] < length:
            return None
        changed = _write_all(hidden, writes)
        if args:
            return (changed, *args[1:]), options
        return args, options | {"hidden_states": changed}

    return hook


def _cuts(edits: Edits, index: int, length: int) -> Any:
    blocks = [e for e in edits if isinstance(e, Edge) and e.layer == index]

    def hook(module: nn.Module, args: tuple, options: dict) -> Any:
        if not blocks:
            return None
        hidden = args[0] if args else options["hidden_states"]
        mask, heads = options["attention_mask"], heads_of(module)
        queries = hidden.shape[1]
        if mask is None:  # an encoder that reads everything
            mask = hidden.new_zeros(1, 1, queries, queries)
        mask = mask.expand(1, heads, queries, mask.shape[-1]).clone()
        lowest = torch.finfo(mask.dtype).min
        for block in blocks:
            for head in block.heads if block.heads is not None else range(heads):
                for query in block.queries:
                    if queries >= length:
                        mask[0, head, query, list(block.keys)] = lowest
                    elif query == length - 1:
                        mask[0, head, 0, list(block.keys)] = lowest
        return args, options | {"attention_mask": mask}

    return hook


def heads_of(module: Any) -> int:
    """Query heads of an attention module."""
    for name in ("num_heads", "num_attention_heads"):
        if hasattr(module, name):
            return getattr(module, name)
    return module.config.num_attention_heads
