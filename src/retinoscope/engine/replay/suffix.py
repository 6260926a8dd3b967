"""Decoder layers on the positions behind a shared clean prefix, with what each row does in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.edits.apply import apply, edges, inner, removed_edges
from retinoscope.engine.edits.steps import stepwise
from retinoscope.engine.recording.attention import AttentionCall, additive
from retinoscope.engine.recording.mixing import call_layer
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import WEIGHTS, ModuleTap, tapped
from retinoscope.engine.replay.batch_rows import SharedKeys
from retinoscope.engine.replay.sharing import attend
from retinoscope.errors import InterventionError
from retinoscope.interventions import Edits, Site


class _KeysTaken(Exception):
    """Leaves a layer once its keys and values are known."""


class SuffixAttention:
    """Attention of many rows over the positions from `start` on, behind the clean prefix.

    Attributes:
        recording: the clean run.
        start: the first position of the suffix.
        keep: whether to hold on to what generation needs.
        kept: the suffix's keys and values of every layer run so far, if they are kept.
        inputs: the inputs of layers without attention run so far, if they are kept.
        shared: keys and values that several layers read.
    """

    def __init__(self, recording: Recording, start: int, *, keep: bool = False) -> None:
        self.recording = recording
        self.start = start
        self.keep = keep
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}
        self.inputs: dict[int, Tensor] = {}
        self.shared = SharedKeys(recording, start)
        self._layer = 0
        self._edits: Sequence[Edits] = ()
        self._sites: set[Site] = set()
        self._step_rows: list[int] = []
        self._removed: Tensor | None = None
        self._reached = False
        self._shape: tuple[int, ...] = ()
        self._taking = False
        self._taken: tuple[Tensor, Tensor] | None = None
        self._asking: Sequence[int] | None = None

    def through(
        self,
        layer: int,
        hidden: Float[Tensor, "rows suffix width"],
        edits: Sequence[Edits] = (),
    ) -> Float[Tensor, "rows suffix width"]:
        """One layer, with what each row's condition does in it.

        Args:
            layer: the decoder layer.
            hidden: its input.
            edits: what each row's condition does in this layer; nothing for a clean replay.

        Raises:
            InterventionError: the layer ran without its attention being reached.
        """
        self._layer, self._edits, self._reached = layer, edits, False
        written = [(row, write.site) for row, e in enumerate(edits) for write in inner(e, layer)]
        patched = [row for row, e in enumerate(edits) for one in edges(e) if one.source is not None]
        self._sites = {site for _, site in written}
        self._step_rows = sorted(
            {*patched, *(row for row, site in written if site.name in WEIGHTS)}
        )
        self._removed = removed_edges(edits, layer, self.recording, self.start) if edits else None
        self._shape = hidden.shape[:2]
        with self._editing(layer, hidden.shape[1]):
            return self._through(layer, hidden)

    def _editing(self, layer: int, count: int) -> AbstractContextManager[None]:
        """Hooks for what is written inside one layer, in every row."""
        pairs = [(site, self.recording.tap(site)) for site in self._sites]
        taps = [(site, tap) for site, tap in pairs if isinstance(tap, ModuleTap)]
        return tapped(taps, self._write) if taps else nullcontext()

    def _write(self, site: Site, state: Tensor) -> Tensor:
        """What every row's condition writes at a site of the layer that runs."""
        rows, suffix = self._shape
        # Cross-attention runs all rows in one sequence, a convolution some positions before ours.
        each = state.view(rows, -1, *state.shape[2:])
        stop = self.start + suffix
        positions = range(stop - each.shape[1], stop)
        return apply(each, self._edits, site, positions).view_as(state)

    def _through(self, layer: int, hidden: Tensor) -> Tensor:
        """The layer itself.

        Raises:
            InterventionError: as `through`.
        """
        mixing = self.recording.calls[layer].mixing
        if mixing == "left context":
            return self._behind_context(layer, hidden)
        suffix = torch.arange(self.start, self.start + hidden.shape[1])
        if mixing == "cross-attention":
            rows = len(hidden)
            packed = call_layer(
                self.recording, layer, hidden.flatten(0, 1)[None], suffix.repeat(rows)
            )
            output = packed.view_as(hidden)
        else:
            output = call_layer(self.recording, layer, hidden, suffix)
        if not self._reached:
            raise InterventionError(
                f"Decoder layer {layer} ran without its attention passing the engine's seat, so "
                "a knockout could not take effect; this model can't be replayed."
            )
        return output

    def through_for(
        self,
        layer: int,
        hidden: Float[Tensor, "rows suffix width"],
        edits: Sequence[Edits],
        wanted: Sequence[int],
    ) -> Float[Tensor, "rows wanted width"]:
        """One layer for the outputs of some positions alone: all give keys, only these ask.

        What a layer does behind its keys is most of its work. Worth it in the last layer, whose
        outputs nothing reads but the unembedding.

        Args:
            layer: one that attends within the sequence.
            hidden: its input at all positions of the suffix.
            edits: what each row's condition does in it: it removes edges, nothing else.
            wanted: positions of the suffix, from 0; none for the keys alone.
        """
        self._taking, chosen = True, list(wanted)
        try:
            with suppress(_KeysTaken):
                self.through(layer, hidden)
            self._taking = False
            if not chosen or not len(hidden):
                return hidden[:, chosen]
            removed = removed_edges(edits, layer, self.recording, self.start) if edits else None
            self._removed = None if removed is None else removed[:, :, chosen]
            self._asking = [self.start + index for index in chosen]
            asking = torch.tensor(self._asking)
            return call_layer(self.recording, layer, hidden[:, chosen], asking)
        finally:
            self._taking, self._taken, self._asking = False, None, None

    def _behind_context(self, layer: int, hidden: Tensor) -> Tensor:
        """A layer without attention, on as much clean left context as it depends on."""
        first = max(0, self.start - self.recording.calls[layer].context)
        clean = self.recording.stream[layer][first : self.start]
        if self.keep:
            self.inputs[layer] = hidden
        longer = torch.cat([clean.expand(len(hidden), -1, -1), hidden], dim=1)
        positions = torch.arange(first, first + longer.shape[1])
        return call_layer(self.recording, layer, longer, positions)[:, self.start - first :]

    def __call__(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend from every row to the clean prefix and to its own suffix."""
        self._reached = True
        clean, start, device = self.recording.calls[self._layer], self.start, call.query.device
        if clean.mixing == "cross-attention":
            return self._across(call)
        own = self.shared.of(self._layer, call.key, call.value)
        if self._sites:
            # What later layers share is the layer's own: they are given it before it is written.
            call = replace(call, key=own[0], value=own[1]).with_fields(self._step)
            own = call.key, call.value
        if self.keep and self._taken is None:
            self.kept[self._layer] = own
        if self._taking:
            self._taken = own
            raise _KeysTaken
        own = self._taken or own
        assert clean.keys is not None and clean.values is not None
        end = start + own[0].shape[2]
        asking = self._asking or range(start, end)
        allowed = clean.allowed[list(asking), :end].to(device)[None, None]
        allowed = allowed if self._removed is None else allowed & ~self._removed.to(device)
        prefix = (clean.keys[:, :, :start], clean.values[:, :, :start])
        output, weights = attend(call, prefix, own, allowed)
        for row in self._step_rows:
            output = output.clone()
            output[row] = self._stepwise(call, prefix, own, allowed, row)
        return self._step("z", output), weights

    def _step(self, name: str, state: Tensor) -> Tensor:
        """A step of attention, with what is written there."""
        site = Site(name, self._layer)
        return self._write(site, state) if site in self._sites else state

    def _stepwise(
        self,
        call: AttentionCall,
        prefix: tuple[Tensor, Tensor],
        own: tuple[Tensor, Tensor],
        allowed: Tensor,
        row: int,
    ) -> Tensor:
        """One row's attention, step by step."""
        key, value = (
            torch.cat([clean, new[[row]]], dim=2) for clean, new in zip(prefix, own, strict=True)
        )
        mask = additive(allowed[[row if len(allowed) > 1 else 0]], call.query)
        one = replace(call, query=call.query[[row]], key=key, value=value, mask=mask)
        return self._steps(one, [self._edits[row]])[0]

    def _steps(self, call: AttentionCall, edits: Sequence[Edits]) -> Tensor:
        """Attention step by step, of rows that stand one after the other in the call's queries."""
        layer, count = self._layer, self._shape[1]
        sites = {write.site for one in edits for write in inner(one, layer)}
        names = [name for name in WEIGHTS if Site(name, layer) in sites]
        patched = [edge for one in edits for edge in edges(one, layer) if edge.source is not None]
        positions = range(self.start, self.start + count)

        def write(name: str, state: Tensor) -> Tensor:
            each = state.reshape(len(edits), count, *state.shape[2:])
            return apply(each, edits, Site(name, layer), positions).view_as(state)

        return stepwise(call, patched, names, write, self.start)

    def _across(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Cross-attention: all rows one after the other in one sequence, on shared image states."""
        rows, suffix = self._shape
        allowed = self.recording.calls[self._layer].allowed[self.start : self.start + suffix]
        readable = allowed.to(call.query.device).expand(rows, 1, -1, -1)
        if self._removed is not None:
            readable = readable & ~self._removed.to(call.query.device)
        call = call.masked(readable.transpose(0, 1).flatten(1, 2)[None])
        if not self._sites:
            return call.run()
        query = self._step("query", call.query.transpose(1, 2)).transpose(1, 2)
        call = replace(call, query=query)
        if not self._step_rows:
            output, weights = call.run()
            return self._step("z", output), weights
        explicit = replace(call, mask=additive(call.explicit_mask(), call.query))
        return self._step("z", self._steps(explicit, self._edits)), None
