"""The plain way for every site: modules by their names, and an attention function of our own.

Shares no code with the engine, which finds modules by what they do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from retinoscope.interventions import Edge
from retinoscope.models import Checkpoint, Encoded
from tests.engine.oracle import attention_of, eager

Visit = Callable[[str, int, Tensor], Tensor]
"""Is given a site's name, its layer and its state [batch, positions, ...]; may return another."""


def run(
    checkpoint: Checkpoint, encoded: Encoded, visit: Visit, edges: Sequence[Edge] = ()
) -> Tensor:
    """Logits of one plain forward pass with every site visited, [positions, vocabulary].

    Edges have a source each, and no query in common in one layer.
    """
    with visiting(checkpoint, visit, edges):
        return checkpoint.model(**encoded.inputs, use_cache=False).logits[0].float()


@contextmanager
def visiting(checkpoint: Checkpoint, visit: Visit, edges: Sequence[Edge] = ()) -> Iterator[None]:
    """Every site of every layer, as far as names are known."""
    layers = checkpoint.parts.layers
    hooks = [hook for at, layer in enumerate(layers) for hook in _hooks(layer, at, visit)]
    index = {id(attention_of(layer)): at for at, layer in enumerate(layers)}
    homes = {sys.modules[type(a).__module__] for a in map(attention_of, layers) if a is not None}
    try:
        with eager(checkpoint.model), pytest.MonkeyPatch.context() as patch:
            for home in homes:
                if hasattr(home, "eager_attention_forward"):
                    plain = home.eager_attention_forward
                    patch.setattr(
                        home, "eager_attention_forward", _attention(index, visit, plain, edges)
                    )
            yield
    finally:
        for hook in hooks:
            hook.remove()


def named(layer: nn.Module, *names: str) -> nn.Module | None:
    return next((getattr(layer, name) for name in names if hasattr(layer, name)), None)


def _hooks(layer: nn.Module, at: int, visit: Visit) -> list[Any]:
    attention, mlp = attention_of(layer), named(layer, "mlp", "feed_forward")
    sandwich = hasattr(layer, "pre_feedforward_layernorm")
    before_mlp = named(layer, "pre_feedforward_layernorm", "ffn_norm", "final_layer_norm") or named(
        layer, "post_attention_layernorm"
    )
    first = mlp if mlp is not None else named(layer, "fc1")
    last = mlp if mlp is not None else named(layer, "fc2")
    hooks = [_into(layer, "resid_pre", at, visit)]
    if attention is not None:
        hooks += [_into(attention, "attn_in", at, visit), _out(attention, "attn_out", at, visit)]
        added = layer.post_attention_layernorm if sandwich else attention
        hooks.append(_out(added, "attn_out_post", at, visit))
    if before_mlp is not None:
        hooks.append(_kept(before_mlp, "resid_mid", at, visit))
    if first is not None and last is not None:
        down = named(last, "down_proj", "w2") or last
        if isinstance(down, nn.Linear):
            hooks.append(_into(down, "mlp_act", at, visit))
        gate = named(first, "gate_proj") or (first if first is not last else None)
        if isinstance(gate, nn.Linear):
            hooks.append(_out(gate, "mlp_pre", at, visit))
        hooks += [_into(first, "mlp_in", at, visit), _out(last, "mlp_out", at, visit)]
        added = layer.post_feedforward_layernorm if sandwich else last
        hooks.append(_out(added, "mlp_out_post", at, visit))
    return [*hooks, _out(layer, "resid_post", at, visit)]


def _into(module: nn.Module, name: str, at: int, visit: Visit) -> Any:
    def hook(_: nn.Module, args: tuple, options: dict) -> Any:
        if args:
            return (_seen(visit, name, at, args[0]), *args[1:]), options
        return args, options | {"hidden_states": _seen(visit, name, at, options["hidden_states"])}

    # Before the hooks of a site that comes later at the same input.
    return module.register_forward_pre_hook(hook, prepend=name == "resid_pre", with_kwargs=True)


def _kept(module: nn.Module, name: str, at: int, visit: Visit) -> Any:
    """An input that the residual connection holds as well."""

    def hook(_: nn.Module, args: tuple) -> None:
        args[0].copy_(_seen(visit, name, at, args[0].clone()))

    return module.register_forward_pre_hook(hook)


def _out(module: nn.Module, name: str, at: int, visit: Visit) -> Any:
    def hook(_: nn.Module, args: tuple, output: Any) -> Any:
        if isinstance(output, tuple):
            return (_seen(visit, name, at, output[0]), *output[1:])
        return _seen(visit, name, at, output)

    return module.register_forward_hook(hook)


def _seen(visit: Visit, name: str, at: int, state: Tensor) -> Tensor:
    if state.ndim == 2:
        return visit(name, at, state[None])[0]
    return visit(name, at, state)


def _attention(index: dict[int, int], visit: Visit, plain: Any, edges: Sequence[Edge]) -> Any:
    """Textbook attention, with everything visited on the way."""

    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **options: Any
    ) -> tuple[Tensor, Tensor]:
        if id(module) not in index:
            return plain(module, query, key, value, *rest, **options)
        at = index[id(module)]
        mask = rest[0] if rest else options["attention_mask"]
        query, key, value = (
            visit(name, at, state.transpose(1, 2)).transpose(1, 2)
            for name, state in (("query", query), ("key", key), ("value", value))
        )
        each = query.shape[1] // key.shape[1]
        scaling = options.get("scaling") or query.shape[-1] ** -0.5
        scores = query @ key.repeat_interleave(each, 1).mT * scaling
        if options.get("softcap") is not None:
            scores = torch.tanh(scores / options["softcap"]) * options["softcap"]
        scores = visit("attn_scores", at, scores.transpose(1, 2)).transpose(1, 2)
        if mask is not None:
            scores = scores + mask
        sinks = options.get("s_aux", getattr(module, "sinks", None))
        if sinks is not None:
            share = sinks.reshape(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
            weights = torch.cat([scores, share], -1).softmax(-1)[..., :-1]
        else:
            weights = scores.softmax(-1)
        weights = visit("attn_probs", at, weights.transpose(1, 2)).transpose(1, 2)
        mixed = weights @ value.repeat_interleave(each, 1)
        for edge in edges:
            if edge.layer == at and edge.source is not None:
                mixed = _patched(edge, mixed, (query * scaling, key, value), mask, options, sinks)
        return visit("z", at, mixed.transpose(1, 2)), weights

    return attention


def _patched(
    edge: Edge,
    mixed: Tensor,
    states: tuple[Tensor, ...],
    mask: Tensor | None,
    options: Any,
    sinks: Tensor | None,
) -> Tensor:
    """Head by head and query by query: other keys and values for this edge alone."""
    query, key, value = states
    mixed, heads = mixed.clone(), query.shape[1]
    assert edge.source is not None
    for head in range(heads) if edge.heads is None else edge.heads:
        group = head // (heads // key.shape[1])
        other_key, other_value = key[0, group].clone(), value[0, group].clone()
        other_key[list(edge.keys)] = edge.source.keys[group]
        other_value[list(edge.keys)] = edge.source.values[group]
        for at in edge.queries:
            scores = other_key @ query[0, head, at]
            if options.get("softcap") is not None:
                scores = torch.tanh(scores / options["softcap"]) * options["softcap"]
            if mask is not None:
                scores = scores + mask[0, 0 if mask.shape[1] == 1 else head, at]
            if sinks is not None:
                scores = torch.cat([scores, sinks[head : head + 1]])
            mixed[0, head, at] = scores.softmax(-1)[: len(other_value)] @ other_value
    return mixed
