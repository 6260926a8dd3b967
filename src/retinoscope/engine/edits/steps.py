"""Attention step by step: where its scores, its weights, or the keys of some queries are changed.

The model's own attention function does the work at every step, so that sinks, soft-caps and
scales are its own: it is asked for the weights by giving it an identity for the values, and given
changed scores as an additive mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.recording.agreement import disagreement
from retinoscope.engine.recording.attention import AttentionCall
from retinoscope.errors import InterventionError
from retinoscope.interventions import Edge

StepVisit = Callable[[str, Tensor], Tensor]
"""Is given `attn_scores` or `attn_probs`, [rows, queries, heads, keys]; what it returns goes on."""


def stepwise(
    call: AttentionCall,
    edges: Sequence[Edge],
    steps: Sequence[str],
    visit: StepVisit,
    start: int,
) -> Float[Tensor, "rows queries heads width"]:
    """One layer's attention with edges patched from other sources, and its steps visited.

    Args:
        call: with an additive mask, in which removed edges are masked; keys and values of every
            position from the first.
        edges: those that have a source.
        steps: which of `attn_scores` and `attn_probs` are visited.
        visit: what is done there.
        start: the position of the first query.
    """
    output = _attend(call, steps, visit)
    for columns, some in _by_query(edges, start, call.query.shape[2]):
        for heads, changed in _by_head(call, some):
            other = _attend(changed, steps, visit)
            output = output.clone()
            output[:, columns, heads] = other[:, columns, heads]
    return output


def _attend(call: AttentionCall, steps: Sequence[str], visit: StepVisit) -> Tensor:
    if "attn_scores" in steps:
        scores = _scores(call)
        changed = visit("attn_scores", scores.transpose(1, 2)).transpose(1, 2)
        assert call.mask is not None
        call = replace(call, mask=call.mask + (changed - scores).to(call.mask))
    if "attn_probs" not in steps:
        return call.run()[0]
    weights = visit("attn_probs", probabilities(call).transpose(1, 2))
    each = call.value.repeat_interleave(call.query.shape[1] // call.value.shape[1], dim=1)
    return torch.einsum("bqhk,bhkw->bqhw", weights.to(each), each)


def probabilities(call: AttentionCall) -> Float[Tensor, "rows heads queries keys"]:
    """The attention weights, as the model's own function applies them."""
    groups, keys = call.value.shape[1], call.value.shape[2]
    identity = torch.eye(keys, dtype=call.value.dtype, device=call.value.device)
    value = identity.expand(len(call.value), groups, keys, keys)
    return replace(call, value=value).run()[0].transpose(1, 2)


def _scores(call: AttentionCall) -> Float[Tensor, "rows heads queries keys"]:
    """What the softmax is taken of, before masking; compared with the weights it must lead to.

    Raises:
        InterventionError: the model's attention computes its scores in another way.
    """
    width, each = call.query.shape[-1], call.query.shape[1] // call.key.shape[1]
    scaling, cap = call.options.get("scaling"), call.options.get("softcap")
    key = call.key.repeat_interleave(each, dim=1)
    scores = call.query @ key.transpose(-1, -2) * (width**-0.5 if scaling is None else scaling)
    if cap is not None:
        scores = torch.tanh(scores / cap) * cap
    assert call.mask is not None
    with torch.no_grad():
        weights, expected = probabilities(call), (scores + call.mask).softmax(-1)
        weights = weights / weights.sum(-1, keepdim=True)  # a sink takes a share
    if disagreement(weights, expected) is not None:
        raise InterventionError(
            f"The attention of {type(call.module).__name__} computes its scores in a way of its "
            "own, so attn_scores can't be read or written; attn_probs can."
        )
    return scores


def _by_query(
    edges: Sequence[Edge], start: int, queries: int
) -> Iterator[tuple[list[int], list[Edge]]]:
    """Columns whose queries read through the same edges, and those edges."""
    found: dict[tuple[int, ...], list[int]] = {}
    for column in range(queries):
        names = tuple(i for i, edge in enumerate(edges) if column + start in edge.queries)
        if names:
            found.setdefault(names, []).append(column)
    for names, columns in found.items():
        yield columns, [edges[i] for i in names]


def _by_head(call: AttentionCall, edges: Sequence[Edge]) -> Iterator[tuple[slice, AttentionCall]]:
    """The call with other keys and values, for every set of heads that share them.

    Heads of one group share keys; where edges name heads, each head of a group has its own turn.
    """
    heads, groups = call.query.shape[1], call.key.shape[1]
    each = heads // groups
    turns = range(each) if any(edge.heads is not None for edge in edges) else (None,)
    for turn in turns:
        key, value = call.key.clone(), call.value.clone()
        for edge in edges:
            chosen = range(heads) if edge.heads is None else edge.heads
            mine = [h // each for h in chosen if turn is None or h % each == turn]
            mine = sorted(set(mine))
            if not mine or edge.source is None:
                continue
            at = torch.tensor(mine)[:, None], torch.tensor(edge.keys)
            key[:, at[0], at[1]] = edge.source.keys[mine].to(key)
            value[:, at[0], at[1]] = edge.source.values[mine].to(value)
        yield (
            slice(turn, None, each if turn is not None else None),
            replace(call, key=key, value=value),
        )
