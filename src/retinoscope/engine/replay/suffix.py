"""Decoder layers on the positions behind a shared clean prefix, with what each row does in them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.edits.apply import LayerEdits, removed_edges
from retinoscope.engine.recording.attention import AttentionCall, additive
from retinoscope.engine.recording.layer import CrossAttention, LeftContext
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import NOWHERE, Looking, tapped
from retinoscope.engine.replay.batch_rows import SharedKeys
from retinoscope.engine.replay.sharing import attend_edited
from retinoscope.errors import InterventionError
from retinoscope.interventions import Edits, Site


class _KeysTaken(Exception):
    """Leaves a layer once its keys and values are known."""


class SuffixAttention:
    """Attention of many rows over the positions from `start` on, behind the clean prefix.

    Args:
        recording: the clean run.
        start: the first position of the suffix.
        keep: whether to hold on to what generation needs.
        looking: what is looked at on the way, at the suffix's positions.

    Attributes:
        kept: the suffix's keys and values of every layer run so far, if they are kept.
        inputs: the inputs of layers without attention run so far, if they are kept.
        shared: keys and values that several layers read.
    """

    def __init__(
        self,
        recording: Recording,
        start: int,
        *,
        keep: bool = False,
        looking: Looking = NOWHERE,
    ) -> None:
        self.recording = recording
        self.start = start
        self.keep = keep
        self.looking = looking
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}
        self.inputs: dict[int, Tensor] = {}
        self.shared = SharedKeys(recording, start)
        self._now = LayerEdits((), 0)
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
        recorded, rows = self.recording.layers[layer], edits or ((),) * len(hidden)
        self._now, self._reached = LayerEdits(rows, layer, self.looking), False
        self._shape, self._removed = hidden.shape[:2], self._without(edits, layer, hidden.shape[1])
        mixing = recorded.mixing
        if self.keep and isinstance(mixing, LeftContext):
            self.inputs[layer] = hidden
        suffix = torch.arange(self.start, self.start + hidden.shape[1])
        clean = self.recording.stream[layer][max(0, self.start - mixing.reach) : self.start]
        before = clean[: len(clean) if mixing.reach else 0].expand(len(hidden), -1, -1)
        taps = self._now.modules(self.recording)
        with tapped(taps, self._at) if taps else nullcontext():
            output = mixing.step(recorded, hidden, suffix, before)
        if not self._reached and not isinstance(mixing, LeftContext):
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
            removed = self._without(edits, layer, hidden.shape[1])
            self._removed = None if removed is None else removed[:, :, chosen]
            self._asking = [self.start + index for index in chosen]
            asking = torch.tensor(self._asking)
            return self.recording.layers[layer](hidden[:, chosen], asking)
        finally:
            self._taking, self._taken, self._asking = False, None, None

    def _without(self, edits: Sequence[Edits], layer: int, queries: int) -> Tensor | None:
        recording = self.recording
        inside = recording.layers[layer].reads_sequence
        keys = self.start + queries if inside else recording.layers[layer].allowed.shape[1]
        return removed_edges(edits, layer, (recording.head_count, queries, keys), self.start)

    def _at(self, site: Site, state: Tensor) -> Tensor:
        """A site's state in every row, as it goes on."""
        rows, suffix = self._shape
        # Cross-attention runs all rows in one sequence, a convolution some positions before ours.
        each = state.view(rows, -1, *state.shape[2:])
        stop = self.start + suffix
        positions = range(stop - each.shape[1], stop)
        return self._now.at(site, each, positions).view_as(state)

    def _step(self, name: str, state: Tensor) -> Tensor:
        """A step of attention, as it goes on."""
        site = Site(name, self._now.layer)
        return self._at(site, state) if site in self._now.sites else state

    def __call__(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend from every row to the clean prefix and to its own suffix."""
        self._reached = True
        layer = self._now.layer
        clean, start, device = self.recording.layers[layer], self.start, call.query.device
        if isinstance(clean.mixing, CrossAttention):
            return self._across(call)
        assert not isinstance(clean.mixing, LeftContext)
        own = self.shared.of(layer, call.key, call.value)
        if self._now.sites:
            # What later layers share is the layer's own: they are given it before it is written.
            call = replace(call, key=own[0], value=own[1]).with_fields(self._step)
            own = call.key, call.value
        if self.keep and self._taken is None:
            self.kept[layer] = own
        if self._taking:
            self._taken = own
            raise _KeysTaken
        own = self._taken or own
        end = start + own[0].shape[2]
        asking = self._asking or range(start, end)
        allowed = clean.allowed[list(asking), :end].to(device)[None, None]
        allowed = allowed if self._removed is None else allowed & ~self._removed.to(device)
        prefix = (clean.mixing.keys[:, :, :start], clean.mixing.values[:, :, :start])
        output, weights = attend_edited(call, prefix, own, allowed, self._now, asking)
        return self._step("z", output), weights

    def _across(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Cross-attention: all rows one after the other in one sequence, on shared image states."""
        rows, suffix = self._shape
        now, positions = self._now, range(self.start, self.start + suffix)
        allowed = self.recording.layers[now.layer].allowed[self.start : positions.stop]
        readable = allowed.to(call.query.device).expand(rows, 1, -1, -1)
        if self._removed is not None:
            readable = readable & ~self._removed.to(call.query.device)
        call = call.masked(readable.transpose(0, 1).flatten(1, 2)[None])
        if not now.sites:
            return call.run()
        query = self._step("query", call.query.transpose(1, 2)).transpose(1, 2)
        call = replace(call, query=query)
        if not now.step_rows:
            output, weights = call.run()
            return self._step("z", output), weights
        explicit = replace(call, mask=additive(call.explicit_mask(), call.query))
        return self._step("z", now.stepwise(explicit, range(rows), positions)), None
