"""The plain full forward pass of the whole model under one condition: exact for every model.

The fallback where a recording can't be replayed, and what the replay is measured against.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from retinoscope.engine.attention import AttentionCall, as_allowed, attending
from retinoscope.engine.blocking import cut
from retinoscope.engine.checks import anywhere, check_edges, check_keys, check_queries
from retinoscope.engine.image_tokens import as_words
from retinoscope.engine.recording import Recording
from retinoscope.engine.room import keeping, with_tokens
from retinoscope.errors import InterventionError
from retinoscope.interventions import Block, Sites
from retinoscope.models import Parts


@torch.no_grad()
def full_logits(
    recording: Recording,
    sites: Sites,
    positions: Sequence[int] | None = None,
    tokens: Sequence[int] = (),
) -> Float[Tensor, "positions vocabulary"]:
    """Logits of one forward pass of the model on the prompt, with hooks for one condition.

    Args:
        recording: for the model and its inputs; nothing that was recorded is used.
        sites: what the condition touches.
        positions: where to take the logits; None is the last position alone.
        tokens: generated so far, behind the prompt; blocks of the prompt's last position hold
            for them too.

    Raises:
        InterventionError: a knockout did not reach an attention function, has no edge to cut, or
            leaves a query without keys.
        ModelError: an image token was generated that the model can't be given in one pass.
    """
    encoded, parts = recording.encoded, recording.checkpoint.parts
    inputs = encoded.inputs
    if tokens:
        inputs = with_tokens(inputs, recording.length, tokens, recording.kinds)
    apart = "decoder_input_ids" in encoded.inputs
    followed = sites if apart else following(sites, recording.length, len(tokens))
    model = recording.checkpoint.model
    asked = keeping(model, 1) if positions is None else {}
    with (
        as_words(recording.checkpoint, inputs, encoded.layout) as words,
        intervening(parts, followed, recording.length),
    ):
        logits = model(**words, **asked, use_cache=False).logits[0]
    if positions is None:
        return logits[-1:].float()
    return logits[list(positions)].float()


def following(sites: Sites, length: int, room: int) -> Sites:
    """The condition with every block of the last prompt position extended to generated ones."""
    if not room:
        return sites
    behind = tuple(range(length, length + room))
    blocks = (
        replace(b, queries=b.queries + behind) if length - 1 in b.queries else b
        for b in sites.blocks
    )
    return replace(sites, blocks=tuple(blocks))


@contextmanager
def intervening(parts: Parts, sites: Sites, length: int) -> Iterator[None]:
    """Hooks that carry one condition out in every forward pass; gone on leaving.

    Args:
        parts: of the model.
        sites: what the condition touches.
        length: of the prompt; positions behind it are generated and read by no prompt position.
    """
    attention = _CutAttention(parts, sites.blocks, length)
    with ExitStack() as stack:
        for place in sorted({write.layer for write in sites.writes}):
            edit = _edit(sites, place, length)
            if place < len(parts.layers):
                layer = parts.layers[place]
                hook = layer.register_forward_pre_hook(
                    _before(edit), prepend=True, with_kwargs=True
                )
            else:
                hook = parts.layers[place - 1].register_forward_hook(_after(edit))
            stack.callback(hook.remove)
        stack.enter_context(attending(parts.decoder, attention))
        yield
        attention.check()


class _CutAttention:
    """Attention with one condition's edges cut in the masks that the model made itself."""

    def __init__(self, parts: Parts, blocks: Iterable[Block], length: int) -> None:
        self.index = {
            id(part): i for i, layer in enumerate(parts.layers) for part in layer.modules()
        }
        self.blocks: dict[int, list[Block]] = {}
        for block in blocks:
            self.blocks.setdefault(block.layer, []).append(block)
        self.length = length
        self.reached: set[int] = set()
        self.edges: dict[Block, Tensor] = {}

    def __call__(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend with this layer's edges cut."""
        layer = self.index.get(id(call.module))
        if layer is None or (call.crossing and layer in self.reached):
            return call.run()
        self.reached.add(layer)
        blocks = self.blocks.get(layer, [])
        if blocks or call.query.shape[2] > self.length:
            call = replace(call, mask=self._cut(layer, blocks, call))
        return call.run()

    def _cut(self, layer: int, blocks: list[Block], call: AttentionCall) -> Tensor:
        mask, (heads, queries), keys = call.mask, call.query.shape[1:3], call.key.shape[2]
        if mask is None:
            mask = torch.ones(1, 1, queries, keys, dtype=torch.bool, device=call.query.device)
            if call.causal:
                mask = mask.tril()
        inside = not call.crossing
        allowed = as_allowed(mask)[0, 0]
        for block in blocks:
            check_keys(block, self.length if inside else keys)
            self._note_edges(block, allowed)
        if blocks:
            check_queries(layer, blocks, allowed, heads)
        gone = torch.zeros(heads, queries, keys, dtype=torch.bool)
        for block in blocks:
            cut(gone, block)
        if queries > self.length and inside:
            ahead = torch.ones(queries, keys, dtype=torch.bool).triu(1)
            gone[:, :, self.length :] |= ahead[:, self.length :]
        gone = gone[None].to(mask.device)
        if mask.dtype == torch.bool:
            return mask & ~gone
        return mask.masked_fill(gone, torch.finfo(mask.dtype).min)

    def _note_edges(self, block: Block, allowed: Bool[Tensor, "queries keys"]) -> None:
        """Edges of the prompt; to a generated position a key may have left a sliding window."""
        prompt = tuple(query for query in block.queries if query < self.length)
        block = anywhere(replace(block, queries=prompt))
        edge = allowed[list(prompt)][:, list(block.keys)]
        self.edges[block] = self.edges.get(block, torch.zeros_like(edge)) | edge

    def check(self) -> None:
        """Every block was in force and cut something."""
        missed = sorted(set(self.blocks) - self.reached)
        if missed:
            raise InterventionError(
                f"Knockout names layer(s) {missed}, whose attention can't be reached: they mix "
                "positions in another way. Leave them out."
            )
        for block, edges in self.edges.items():
            check_edges(block.queries, block.keys, edges)


def _edit(sites: Sites, place: int, length: int) -> Callable[[Tensor], Tensor]:
    def edit(hidden: Tensor) -> Tensor:
        if hidden.shape[-2] < length:
            raise InterventionError(
                f"The model carries only {hidden.shape[-2]} of the prompt's {length} positions at "
                f"place {place}, so that what is written there would go astray."
            )
        hidden = hidden.clone()
        for write in sites.writes:
            if write.layer == place:
                at, values = list(write.positions), write.values.to(hidden)
                hidden[..., at, :] = hidden[..., at, :] + values if write.add else values
        return hidden

    return edit


def _before(edit: Callable[[Tensor], Tensor]) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if args:
            return (edit(args[0]), *args[1:]), options
        return args, options | {"hidden_states": edit(options["hidden_states"])}

    return hook


def _after(edit: Callable[[Tensor], Tensor]) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        return (edit(output[0]), *output[1:]) if isinstance(output, tuple) else edit(output)

    return hook
