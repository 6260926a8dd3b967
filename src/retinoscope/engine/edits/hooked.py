"""One condition in force on the model itself: hooks on its modules and a seat in its attention.

Whoever calls the model meanwhile runs it changed: the full forward, the model's own `generate`, or
another tool that holds the same modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from retinoscope.engine.edits.apply import STREAM, apply, edges, removed_edges
from retinoscope.engine.edits.checks import anywhere, check_edges, check_keys, check_queries
from retinoscope.engine.edits.steps import stepwise
from retinoscope.engine.recording.attention import AttentionCall, additive, as_allowed, attending
from retinoscope.engine.recording.hooks import layer_index
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import (
    NOWHERE,
    WEIGHTS,
    Looking,
    ModuleTap,
    Visit,
    first_input,
    tapped,
)
from retinoscope.errors import InterventionError
from retinoscope.interventions import Edge, Edits, Site, Write
from retinoscope.models import Parts

OF_KEYS = ("key", "value")
"""Sites whose columns are keys: with a cache those of earlier passes as well."""


@contextmanager
def intervening(recording: Recording, edits: Edits, looking: Looking = NOWHERE) -> Iterator[None]:
    """Hooks that carry one condition out in every forward pass; gone on leaving.

    A pass runs the whole prompt, with or without generated positions behind it; or, with a cache of
    the passes before it, generated positions alone. Every row of a batch is changed alike.

    Args:
        recording: for the model and the prompt; positions behind it are generated and read by no
            position of the prompt. Edges of the prompt's last position hold for them too.
        edits: what the condition does.
        looking: what is looked at on the way.

    Raises:
        InterventionError: a pass runs a part of the prompt; a knockout did not reach an attention
            function, finds no edge, or leaves a query without keys.
    """
    parts = recording.checkpoint.parts
    passes = Passes(recording.length)
    written = {edit.site for edit in edits if isinstance(edit, Write)}
    taps = {site: recording.tap(site) for site in written | looking.sites}

    def at(site: Site, state: Tensor) -> Tensor:
        if site in written:
            columns = state.shape[-2 if site.name in STREAM else 1]
            keys = recording.state_shape(site)[-1] if site.name in WEIGHTS else None
            rows = [edits] * state.shape[-3 if site.name in STREAM else 0]
            state = apply(state, rows, site, passes.positions(site, columns), keys)
        return looking.at(site, state)

    steps = {site for site, tap in taps.items() if not isinstance(tap, ModuleTap)}
    attention = _EditedAttention(parts, edges(edits), passes, steps, at)
    modules = [(site, tap) for site, tap in taps.items() if isinstance(tap, ModuleTap)]
    with ExitStack() as stack:
        stack.enter_context(tapped(modules, at))
        # Registered last it is called first: before a write at the same input.
        stack.enter_context(passes.counted(parts.layers[0]))
        stack.enter_context(attending(parts.decoder, attention))
        yield
        attention.check()


class Passes:
    """Which positions the pass at hand runs.

    Attributes:
        length: positions of the prompt.
        count: how many passes there were.
        start: the pass' first position: 0, or with a cache behind the pass before it.
        end: the position behind its last.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.count = self.start = self.end = 0

    @contextmanager
    def counted(self, layer: nn.Module) -> Iterator[None]:
        """Listen to the first decoder layer; the hook is gone on leaving."""

        def hook(_: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
            given = first_input(args, options)
            assert given is not None
            self.enter(given.shape[-2])

        handle = layer.register_forward_pre_hook(hook, prepend=True, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def enter(self, columns: int) -> None:
        """A pass of so many positions begins.

        Raises:
            InterventionError: it runs a part of the prompt.
        """
        whole = columns >= self.length
        if not whole and not self.count:
            raise InterventionError(
                f"The model was run on {columns} of the prompt's {self.length} positions; run the "
                "whole prompt in one pass while a condition is in force."
            )
        self.count += 1
        self.start = 0 if whole else self.end
        self.end = self.start + columns

    def positions(self, site: Site, columns: int) -> range:
        """Which positions a site's columns stand for in this pass.

        Raises:
            InterventionError: the site has columns for another number of them.
        """
        if site.name in OF_KEYS and columns >= self.end:
            return range(columns)
        if site.name in OF_KEYS or columns != self.end - self.start:
            raise InterventionError(
                f"The model carries {columns} positions at {site} in a pass of positions "
                f"{self.start}..{self.end - 1}, so that what is written there would go astray."
            )
        return range(self.start, self.end)


class _EditedAttention:
    """Attention with one condition's edges changed in the masks that the model made itself."""

    def __init__(
        self, parts: Parts, edges: Sequence[Edge], passes: Passes, sites: set[Site], visit: Visit
    ) -> None:
        self.index = layer_index(parts)
        self.edges, self.passes = tuple(edges), passes
        self.sites, self.visit = sites, visit
        self.reached: dict[int, int] = {}  # by layer, in which pass it was reached last
        self.found: dict[Edge, Tensor] = {}

    def __call__(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend with this layer's edges and steps changed."""
        layer, start = self.index.get(id(call.module)), self.passes.start
        # With a cache there are more keys than queries in self-attention too.
        crossing = call.crosses if start else call.crossing
        again = self.reached.get(layer if layer is not None else -1) == self.passes.count
        if layer is None or (crossing and again):
            return call.run()
        self.reached[layer] = self.passes.count
        call = call.with_fields(lambda name, state: self._visit(name, layer, state))
        some = self._edges(layer)
        if some or call.query.shape[2] > self.passes.length:
            call = replace(call, mask=self._mask_without(layer, some, call, not crossing))
        patched = [edge for edge in some if edge.source is not None]
        steps = [n for n in WEIGHTS if Site(n, layer) in self.sites]
        if not patched and not steps:
            output, weights = call.run()
        else:
            explicit = replace(call, mask=additive(call.explicit_mask(), call.query))
            visit = lambda n, s: self._visit(n, layer, s)  # noqa: E731
            output, weights = stepwise(explicit, patched, steps, visit, start), None
        return self._visit("z", layer, output), weights

    def _visit(self, name: str, layer: int, state: Tensor) -> Tensor:
        site = Site(name, layer)
        return self.visit(site, state) if site in self.sites else state

    def _edges(self, layer: int) -> list[Edge]:
        """A layer's edges with those of their queries that this pass runs."""
        start, end, length = self.passes.start, self.passes.end, self.passes.length
        here = tuple(edge for edge in self.edges if edge.layer == layer)
        if (start, end) == (0, length):
            return list(here)
        followed = edges(following(here, length, max(0, end - length)))
        run = {edge: tuple(q for q in edge.queries if start <= q < end) for edge in followed}
        return [replace(edge, queries=queries) for edge, queries in run.items() if queries]

    def _mask_without(
        self, layer: int, some: list[Edge], call: AttentionCall, inside: bool
    ) -> Tensor:
        mask, (heads, queries), keys = (
            call.explicit_mask(),
            call.query.shape[1:3],
            call.key.shape[2],
        )
        start, length = self.passes.start, self.passes.length
        if inside and keys < self.passes.end:
            raise InterventionError(
                f"Layer {layer} keeps {keys} of {self.passes.end} positions in its cache (a "
                "sliding window), so that its keys can't be told apart; run the model with "
                "use_cache=False."
            )
        allowed = as_allowed(mask)[0, 0]
        for edge in some:
            check_keys(edge, length if inside else keys)
            self._note(edge, allowed)
        removed = [edge for edge in some if edge.source is None]
        if removed:
            check_queries(layer, removed, allowed, heads, start)
        gone = removed_edges([tuple(removed)], layer, (heads, queries, keys), start)
        if gone is None:
            gone = torch.zeros(1, 1, queries, keys, dtype=torch.bool)
        if queries > length and inside:
            ahead = torch.ones(queries, keys, dtype=torch.bool).triu(1)
            gone[..., length:] |= ahead[:, length:]
        gone = gone.to(mask.device)
        if mask.dtype == torch.bool:
            return mask & ~gone
        return mask.masked_fill(gone, torch.finfo(mask.dtype).min)

    def _note(self, edge: Edge, allowed: Bool[Tensor, "queries keys"]) -> None:
        """Edges of the prompt; to a generated position a key may have left a sliding window."""
        prompt = tuple(query for query in edge.queries if query < self.passes.length)
        if not prompt:
            return
        edge = anywhere(replace(edge, queries=prompt))
        there = allowed[list(prompt)][:, list(edge.keys)]
        self.found[edge] = self.found.get(edge, torch.zeros_like(there)) | there

    def check(self) -> None:
        """The model ran, and every edge was reached and is one."""
        if not self.passes.count:
            raise InterventionError(
                "The model did not run while the condition was in force. It is in force on the "
                "view's own model, view.recording.checkpoint.model, and on no copy of it."
            )
        missed = sorted({edge.layer for edge in self.edges} - self.reached.keys())
        if missed:
            raise InterventionError(
                f"Knockout names layer(s) {missed}, whose attention can't be reached: they mix "
                "positions in another way. Leave them out."
            )
        for edge, there in self.found.items():
            check_edges(edge.queries, edge.keys, there)


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
