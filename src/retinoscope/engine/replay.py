"""Replay: run the decoder layers again on the positions behind a shared clean prefix."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from retinoscope.engine.arguments import call_layer
from retinoscope.engine.attention import AttentionCall, attending
from retinoscope.engine.blocking import blocked
from retinoscope.engine.forks import Fork, forked, forks
from retinoscope.engine.recording import Recording
from retinoscope.engine.shared_keys import SharedKeys
from retinoscope.engine.sharing import attend
from retinoscope.errors import InterventionError
from retinoscope.interventions import Sites

FEW = 4
"""Positions that are not worth a detour in the last layer."""


class _KeysTaken(Exception):
    """Leaves a layer once its keys and values are known."""


class SuffixAttention:
    """Attention of many rows over the positions from `start` on, behind the clean prefix.

    Attributes:
        recording: the clean run.
        start: the first position of the suffix.
        keep: whether to hold on to what generation needs.
        kept: the suffix's keys and values of every layer run so far, if they are kept.
        entered: the inputs of layers without attention run so far, if they are kept.
        shared: keys and values that several layers read.
    """

    def __init__(self, recording: Recording, start: int, *, keep: bool = False) -> None:
        self.recording = recording
        self.start = start
        self.keep = keep
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}
        self.entered: dict[int, Tensor] = {}
        self.shared = SharedKeys(recording, start)
        self._layer = 0
        self._cut: Tensor | None = None
        self._reached = False
        self._shape: tuple[int, ...] = ()
        self._taking = False
        self._taken: tuple[Tensor, Tensor] | None = None
        self._asking: Sequence[int] | None = None

    def through(
        self,
        layer: int,
        hidden: Float[Tensor, "rows suffix width"],
        cut: Bool[Tensor, "rows heads suffix keys"] | None,
    ) -> Float[Tensor, "rows suffix width"]:
        """One layer, with some attention edges cut in each row.

        Raises:
            InterventionError: the layer ran without its attention being reached.
        """
        self._layer, self._cut, self._reached = layer, cut, False
        self._shape = hidden.shape[:2]
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
        cut: Bool[Tensor, "rows heads suffix keys"] | None,
        wanted: Sequence[int],
    ) -> Float[Tensor, "rows wanted width"]:
        """One layer for the outputs of some positions alone: all give keys, only these ask.

        What a layer does behind its keys is most of its work. Worth it in the last layer, whose
        outputs nothing reads but the unembedding.

        Args:
            layer: one that attends within the sequence.
            hidden: its input at all positions of the suffix.
            cut: edges that are cut in each row.
            wanted: positions of the suffix, from 0; none for the keys alone.
        """
        self._taking, chosen = True, list(wanted)
        try:
            with suppress(_KeysTaken):
                self.through(layer, hidden, None)
            self._taking = False
            if not chosen or not len(hidden):
                return hidden[:, chosen]
            self._cut = None if cut is None else cut[:, :, chosen]
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
            self.entered[layer] = hidden
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
        allowed = allowed if self._cut is None else allowed & ~self._cut.to(device)
        return attend(call, (clean.keys[:, :, :start], clean.values[:, :, :start]), own, allowed)

    def _across(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Cross-attention: all rows one after the other in one sequence, on shared image states."""
        rows, suffix = self._shape
        allowed = self.recording.calls[self._layer].allowed[self.start : self.start + suffix]
        readable = allowed.to(call.query.device).expand(rows, 1, -1, -1)
        if self._cut is not None:
            readable = readable & ~self._cut.to(call.query.device)
        return call.masked(readable.transpose(0, 1).flatten(1, 2)[None]).run()


def run_suffix(
    recording: Recording,
    hidden: Float[Tensor, "rows suffix width"],
    start: int,
    wanted: Sequence[int] | None = None,
) -> Float[Tensor, "rows wanted width"]:
    """Every decoder layer on inputs of one's own behind the clean prefix; differentiable.

    Args:
        recording: the clean run.
        hidden: inputs of the first layer, at the positions from `start` on.
        start: the first position of the suffix.
        wanted: positions of the suffix, from 0, whose stream is asked for; None is every one.

    Returns:
        The residual stream after the last layer, raw.
    """
    attention = SuffixAttention(recording, start)
    chosen = list(range(hidden.shape[1]) if wanted is None else wanted)
    last, short = recording.layer_count - 1, _ends_early(recording, hidden.shape[1] - len(chosen))
    with attending(recording.checkpoint.parts.decoder, attention):
        for place in range(recording.layer_count):
            hidden = hidden.to(recording.stream[place].device)
            if place in recording.additions:
                hidden = hidden + recording.additions[place][start:]
            if short and place == last:
                return attention.through_for(place, hidden, None, chosen)
            hidden = attention.through(place, hidden, None)
    return hidden[:, chosen]


def replay(
    recording: Recording,
    conditions: Sequence[Sites],
    start: int,
    attention: SuffixAttention | None = None,
    end: int | None = None,
    wanted: Sequence[int] | None = None,
) -> tuple[Float[Tensor, "rows wanted width"], list[Fork]]:
    """The residual stream after the last layer under each condition, raw, from `start` on.

    Args:
        recording: the clean run.
        conditions: what each condition touches, checked; nothing before `start`.
        start: the first position of the suffix.
        attention: to keep the keys and values of the suffix.
        end: replay only up to this position; None is the whole prompt.
        wanted: positions of the suffix, from 0, whose stream is asked for; None is every one.

    Returns:
        One row for each way in which conditions differ, and how the rows forked: the last fork's
        `rows` says which row is whose; CLEAN is the recorded stream.
    """
    attention = attention or SuffixAttention(recording, start)
    plan = forks(conditions, recording.layer_count + 1)
    positions = list(range(start, stop := recording.length if end is None else end))
    chosen = list(range(len(positions)) if wanted is None else wanted)
    last = recording.layer_count - 1
    behind = any(write.layer > last for sites in conditions for write in sites.writes)
    short = _ends_early(recording, len(positions) - len(chosen)) and not behind
    hidden = recording.stream[0][:0, None].expand(0, len(positions), -1)
    with attending(recording.checkpoint.parts.decoder, attention):
        for place, fork in enumerate(plan):
            hidden = _entering(hidden, recording, place, fork, positions)
            attention.shared.follow(place, fork, stop)
            doing = [conditions[member] for member in fork.members]
            hidden = written(hidden, doing, place, start)
            cut = blocked(doing, place, recording, start) if doing and place <= last else None
            if short and place == last:
                positions = [positions[index] for index in chosen]
                hidden = attention.through_for(place, hidden, cut, chosen)
            elif doing and place <= last:
                hidden = attention.through(place, hidden, cut)
    return hidden if short else hidden[:, chosen], plan


def _ends_early(recording: Recording, unwanted: int) -> bool:
    """Whether the last layer is run for the wanted positions alone.

    Not where few are spared, or where weights are brought in and out by hooks (accelerate), which
    must see the layer's end.
    """
    layers, last = recording.checkpoint.parts.layers, recording.layer_count - 1
    moved = any(hasattr(module, "_hf_hook") for module in layers[last].modules())
    return unwanted >= FEW and recording.calls[last].mixing == "attention" and not moved


def _entering(
    hidden: Float[Tensor, "before positions width"],
    recording: Recording,
    place: int,
    fork: Fork,
    positions: Sequence[int],
) -> Float[Tensor, "rows positions width"]:
    """The rows of a place, with what the model adds there."""
    clean = recording.stream[place][list(positions)]
    hidden = hidden.to(clean.device)
    if place in recording.additions:
        hidden = hidden + recording.additions[place][list(positions)]
    return forked(hidden, fork, clean)


def written(
    hidden: Float[Tensor, "rows suffix width"],
    conditions: Sequence[Sites],
    place: int,
    start: int = 0,
) -> Float[Tensor, "rows suffix width"]:
    """The stream with every write of this place carried out in its own condition's row."""
    writes = [
        (i, w) for i, sites in enumerate(conditions) for w in sites.writes if w.layer == place
    ]
    if not writes:
        return hidden
    hidden = hidden.clone()
    for index, write in writes:
        at = [position - start for position in write.positions]
        values = write.values.to(hidden)
        hidden[index, at] = hidden[index, at] + values if write.add else values
    return hidden
