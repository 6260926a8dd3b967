"""Replay: run the decoder layers again on the positions behind a shared clean prefix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from retinoscope.engine.arguments import call_layer
from retinoscope.engine.attention import AttentionFunction, as_mask, attending
from retinoscope.engine.blocking import blocked
from retinoscope.engine.forks import CLEAN, Fork, forks
from retinoscope.engine.recording import Recording
from retinoscope.engine.sharing import attend
from retinoscope.errors import InterventionError
from retinoscope.interventions import Sites


class SuffixAttention:
    """Attention of many rows over the positions from `start` on, behind the clean prefix.

    Attributes:
        recording: the clean run.
        start: the first position of the suffix.
        keep: whether to hold on to what generation needs.
        kept: the suffix's keys and values of every layer run so far, if they are kept.
        entered: the inputs of layers without attention run so far, if they are kept.
    """

    def __init__(self, recording: Recording, start: int, *, keep: bool = False) -> None:
        self.recording = recording
        self.start = start
        self.keep = keep
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}
        self.entered: dict[int, Tensor] = {}
        self._layer = 0
        self._cut: Tensor | None = None
        self._reached = False
        self._shape: tuple[int, ...] = ()

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

    def _behind_context(self, layer: int, hidden: Tensor) -> Tensor:
        """A layer without attention, on as much clean left context as it depends on."""
        first = max(0, self.start - self.recording.calls[layer].context)
        clean = self.recording.stream[layer][first : self.start]
        if self.keep:
            self.entered[layer] = hidden
        longer = torch.cat([clean.expand(len(hidden), -1, -1), hidden], dim=1)
        positions = torch.arange(first, first + longer.shape[1])
        return call_layer(self.recording, layer, longer, positions)[:, self.start - first :]

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        base: AttentionFunction,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend from every row to the clean prefix and to its own suffix."""
        self._reached = True
        call, start = self.recording.calls[self._layer], self.start
        if call.mixing == "cross-attention":
            return self._across(module, query, key, value, base, options)
        if self.keep:
            self.kept[self._layer] = (key, value)
        assert call.keys is not None and call.values is not None
        end = start + query.shape[2]
        allowed = call.allowed[start:end, :end].to(query.device)[None, None]
        allowed = allowed if self._cut is None else allowed & ~self._cut.to(query.device)
        prefix = (call.keys[:, :, :start], call.values[:, :, :start])
        return attend(module, query, prefix, (key, value), allowed, base, options)

    def _across(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        base: AttentionFunction,
        options: dict[str, Any],
    ) -> tuple[Tensor, Tensor | None]:
        """Cross-attention: all rows one after the other in one sequence, on shared image states."""
        rows, suffix = self._shape
        allowed = self.recording.calls[self._layer].allowed[self.start : self.start + suffix]
        readable = allowed.to(query.device).expand(rows, 1, -1, -1)
        if self._cut is not None:
            readable = readable & ~self._cut.to(query.device)
        readable = readable.transpose(0, 1).flatten(1, 2)[None]
        return base(module, query, key, value, as_mask(readable, query, base), **options)


def run_suffix(
    recording: Recording,
    hidden: Float[Tensor, "rows suffix width"],
    start: int,
) -> Float[Tensor, "rows suffix width"]:
    """Every decoder layer on inputs of one's own behind the clean prefix; differentiable.

    Args:
        recording: the clean run.
        hidden: inputs of the first layer, at the positions from `start` on.
        start: the first position of the suffix.

    Returns:
        The residual stream after the last layer, raw.
    """
    attention = SuffixAttention(recording, start)
    with attending(recording.checkpoint.parts.decoder, attention):
        for place in range(recording.layer_count):
            hidden = hidden.to(recording.stream[place].device)
            if place in recording.additions:
                hidden = hidden + recording.additions[place][start:]
            hidden = attention.through(place, hidden, None)
    return hidden


def replay(
    recording: Recording,
    conditions: Sequence[Sites],
    start: int,
    attention: SuffixAttention | None = None,
    end: int | None = None,
) -> tuple[Float[Tensor, "rows suffix width"], list[Fork]]:
    """The residual stream after the last layer under each condition, raw, from `start` on.

    Args:
        recording: the clean run.
        conditions: what each condition touches, checked; nothing before `start`.
        start: the first position of the suffix.
        attention: to keep the keys and values of the suffix.
        end: replay only up to this position; None is the whole prompt.

    Returns:
        One row for each way in which conditions differ, and how the rows forked: the last fork's
        `rows` says which row is whose; CLEAN is the recorded stream.
    """
    attention = attention or SuffixAttention(recording, start)
    plan = forks(conditions, recording.layer_count + 1)
    end = recording.length if end is None else end
    hidden = recording.stream[0][:0, None].expand(0, end - start, -1)
    with attending(recording.checkpoint.parts.decoder, attention):
        for place, fork in enumerate(plan):
            clean = recording.stream[place][start:end]
            hidden = hidden.to(clean.device)
            if place in recording.additions:
                hidden = hidden + recording.additions[place][start:end]
            hidden = forked(hidden, fork, clean)
            doing = [conditions[member] for member in fork.members]
            hidden = written(hidden, doing, place, start)
            if place < recording.layer_count and doing:
                cut = blocked(doing, place, recording, start)
                hidden = attention.through(place, hidden, cut)
    return hidden, plan


def forked(
    hidden: Float[Tensor, "before suffix width"], fork: Fork, clean: Float[Tensor, "suffix width"]
) -> Float[Tensor, "rows suffix width"]:
    """The rows of the next place, each a copy of its parent or of the clean stream."""
    if fork.parents == tuple(range(len(hidden))):
        return hidden
    if all(parent == CLEAN for parent in fork.parents):
        return clean.expand(len(fork.parents), -1, -1)
    parents = torch.tensor(fork.parents, device=hidden.device)
    return torch.cat([hidden, clean[None]])[parents]


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
