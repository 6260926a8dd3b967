"""The plain full forward pass of the whole model under one condition: exact for every model.

The fallback where a recording can't be replayed, and what the replay is measured against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retinoscope.engine.edits.apply import STREAM, apply, edges, removed_edges
from retinoscope.engine.edits.checks import anywhere, check_edges, check_keys, check_queries
from retinoscope.engine.edits.steps import stepwise
from retinoscope.engine.recording.attention import AttentionCall, additive, as_allowed, attending
from retinoscope.engine.recording.hooks import layer_index
from retinoscope.engine.recording.inputs import as_words, keeping, with_tokens
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import NOWHERE, WEIGHTS, Looking, ModuleTap, Visit, tapped
from retinoscope.errors import InterventionError
from retinoscope.interventions import Edge, Edits, Site, Write
from retinoscope.models import Parts


@torch.no_grad()
def full_logits(
    recording: Recording,
    edits: Edits,
    positions: Sequence[int] | None = None,
    tokens: Sequence[int] = (),
) -> Float[Tensor, "positions vocabulary"]:
    """Logits of one forward pass of the model on the prompt, with hooks for one condition.

    Args:
        recording: for the model and its inputs; nothing that was recorded is used.
        edits: what the condition does.
        positions: where to take the logits; None is the last position alone.
        tokens: generated so far, behind the prompt; edges of the prompt's last position hold
            for them too.

    Raises:
        InterventionError: a knockout did not reach an attention function, finds no edge, or leaves
            a query without keys.
        ModelError: an image token was generated that the model can't be given in one pass.
    """
    encoded = recording.encoded
    inputs = encoded.inputs
    if tokens:
        inputs = with_tokens(inputs, recording.length, tokens, recording.text_types)
    apart = "decoder_input_ids" in encoded.inputs
    followed = edits if apart else following(edits, recording.length, len(tokens))
    model = recording.checkpoint.model
    whole = positions is not None or Site("lm_head") in {
        edit.site for edit in edits if isinstance(edit, Write)
    }
    asked = {} if whole else keeping(model, 1)
    with (
        as_words(recording.checkpoint, inputs, encoded.layout) as words,
        intervening(recording, followed),
    ):
        logits = model(**words, **asked, use_cache=False).logits[0]
    if positions is None:
        return logits[-1:].float()
    return logits[list(positions)].float()


def following(edits: Edits, length: int, count: int) -> Edits:
    """The condition with every edge of the last prompt position extended to generated ones."""
    if not count:
        return edits
    behind = tuple(range(length, length + count))
    return tuple(
        replace(edit, queries=edit.queries + behind)
        if isinstance(edit, Edge) and length - 1 in edit.queries
        else edit
        for edit in edits
    )


@contextmanager
def intervening(recording: Recording, edits: Edits, looking: Looking = NOWHERE) -> Iterator[None]:
    """Hooks that carry one condition out in every forward pass; gone on leaving.

    Args:
        recording: for the model and the prompt; positions behind it are generated and read by no
            position of the prompt.
        edits: what the condition does.
        looking: what is looked at on the way.
    """
    length, parts = recording.length, recording.checkpoint.parts
    written = {edit.site for edit in edits if isinstance(edit, Write)}
    taps = {site: recording.tap(site) for site in written | looking.sites}

    def at(site: Site, state: Tensor) -> Tensor:
        columns = state.shape[-2 if site.name in STREAM else 1]
        if site in written:
            if columns < length:
                raise InterventionError(
                    f"The model carries only {columns} of the prompt's {length} positions at "
                    f"{site}, so that what is written there would go astray."
                )
            keys = recording.state_shape(site)[-1] if site.name in WEIGHTS else None
            state = apply(state, [edits], site, range(columns), keys)
        return looking.at(site, state)

    steps = {site for site, tap in taps.items() if not isinstance(tap, ModuleTap)}
    attention = _EditedAttention(parts, edges(edits), length, steps, at)
    modules = [(site, tap) for site, tap in taps.items() if isinstance(tap, ModuleTap)]
    with ExitStack() as stack:
        stack.enter_context(tapped(modules, at))
        stack.enter_context(attending(parts.decoder, attention))
        yield
        attention.check()


class _EditedAttention:
    """Attention with one condition's edges changed in the masks that the model made itself."""

    def __init__(
        self, parts: Parts, edges: Sequence[Edge], length: int, sites: set[Site], visit: Visit
    ) -> None:
        self.index = layer_index(parts)
        self.edges: dict[int, list[Edge]] = {}
        for edge in edges:
            self.edges.setdefault(edge.layer, []).append(edge)
        self.length = length
        self.sites, self.visit = sites, visit
        self.reached: set[int] = set()
        self.found: dict[Edge, Tensor] = {}

    def __call__(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend with this layer's edges and steps changed."""
        layer = self.index.get(id(call.module))
        if layer is None or (call.crossing and layer in self.reached):
            return call.run()
        self.reached.add(layer)
        call = call.with_fields(lambda name, state: self._visit(name, layer, state))
        some = self.edges.get(layer, [])
        if some or call.query.shape[2] > self.length:
            call = replace(call, mask=self._mask_without(layer, some, call))
        patched = [edge for edge in some if edge.source is not None]
        steps = [n for n in WEIGHTS if Site(n, layer) in self.sites]
        if not patched and not steps:
            output, weights = call.run()
        else:
            explicit = replace(call, mask=additive(call.explicit_mask(), call.query))
            output, weights = (
                stepwise(explicit, patched, steps, lambda n, s: self._visit(n, layer, s), 0),
                None,
            )
        return self._visit("z", layer, output), weights

    def _visit(self, name: str, layer: int, state: Tensor) -> Tensor:
        site = Site(name, layer)
        return self.visit(site, state) if site in self.sites else state

    def _mask_without(self, layer: int, some: list[Edge], call: AttentionCall) -> Tensor:
        mask, (heads, queries), keys = (
            call.explicit_mask(),
            call.query.shape[1:3],
            call.key.shape[2],
        )
        inside = not call.crossing
        allowed = as_allowed(mask)[0, 0]
        for edge in some:
            check_keys(edge, self.length if inside else keys)
            self._note(edge, allowed)
        removed = [edge for edge in some if edge.source is None]
        if removed:
            check_queries(layer, removed, allowed, heads)
        gone = removed_edges([tuple(removed)], layer, (heads, queries, keys))
        if gone is None:
            gone = torch.zeros(1, 1, queries, keys, dtype=torch.bool)
        if queries > self.length and inside:
            ahead = torch.ones(queries, keys, dtype=torch.bool).triu(1)
            gone[..., self.length :] |= ahead[:, self.length :]
        gone = gone.to(mask.device)
        if mask.dtype == torch.bool:
            return mask & ~gone
        return mask.masked_fill(gone, torch.finfo(mask.dtype).min)

    def _note(self, edge: Edge, allowed: Bool[Tensor, "queries keys"]) -> None:
        """Edges of the prompt; to a generated position a key may have left a sliding window."""
        prompt = tuple(query for query in edge.queries if query < self.length)
        edge = anywhere(replace(edge, queries=prompt))
        there = allowed[list(prompt)][:, list(edge.keys)]
        self.found[edge] = self.found.get(edge, torch.zeros_like(there)) | there

    def check(self) -> None:
        """Every edge was reached and is one."""
        missed = sorted(set(self.edges) - self.reached)
        if missed:
            raise InterventionError(
                f"Knockout names layer(s) {missed}, whose attention can't be reached: they mix "
                "positions in another way. Leave them out."
            )
        for edge, there in self.found.items():
            check_edges(edge.queries, edge.keys, there)
