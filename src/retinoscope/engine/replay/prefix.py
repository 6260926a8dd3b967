"""Prefix states: what conditions change in the beginning that prompts about one image share.

An image comes before its question, and an ablation acts on the image: up to the question, every
question that is asked under one ablation sees the same states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.recording.agreement import disagreement
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.replay.passes import groups, row_bytes
from retinoscope.engine.replay.replay import replay
from retinoscope.engine.replay.suffix import SuffixAttention
from retinoscope.interventions import Edits
from retinoscope.models.memory import in_passes, pass_memory


@dataclass(frozen=True, eq=False)
class PrefixStates:
    """Keys and values of many conditions over the beginning that several prompts share.

    Attributes:
        start: the first position that any of the conditions changes; before it all are clean.
        end: the first position behind the shared beginning.
        keys: of every layer, one row for each condition, from `start` to `end`.
        values: likewise.
    """

    start: int
    end: int
    keys: tuple[Float[Tensor, "conditions groups own width"], ...]
    values: tuple[Float[Tensor, "conditions groups own width"], ...]

    def of(self, rows: Sequence[int]) -> PrefixStates:
        """The states of some of the conditions."""
        if list(rows) == list(range(len(self.keys[0]))):
            return self
        keys, values = (tuple(t[list(rows)] for t in ts) for ts in (self.keys, self.values))
        return PrefixStates(self.start, self.end, keys, values)


def shared_length(recordings: Sequence[Recording]) -> int:
    """How many positions all recordings begin with alike, in every layer; 0 if they share nothing.

    Each keeps at least one position of its own behind them. What is shared is compared, not
    assumed: a model whose image reads the question (PaliGemma) has other states there.
    """
    first = recordings[0]
    if any(not _replayable(recording) for recording in recordings):
        return 0
    end = min(recording.length for recording in recordings) - 1
    for other in recordings[1:]:
        if other.checkpoint is not first.checkpoint:
            return 0
        apart = (other.stream[0][:end] != first.stream[0][:end]).any(-1).nonzero()
        end = int(apart[0]) if len(apart) else end
    visual = [max(recording.encoded.layout.visual, default=0) for recording in recordings]
    if end <= max(visual) or any(_reads_on(recording, end) for recording in recordings):
        return 0
    return end if all(_alike(first, other, end) for other in recordings[1:]) else 0


def _replayable(recording: Recording) -> bool:
    plain = recording.fallback is None and recording.generation_fallback is None
    return plain and all(isinstance(one.mixing, SelfAttention) for one in recording.layers)


def _alike(first: Recording, other: Recording, end: int) -> bool:
    """Whether masks, keys and outputs agree before `end`, but for rounding."""
    states = [(first.stream[-1][:end], other.stream[-1][:end])]
    for one, two in zip(first.layers, other.layers, strict=True):
        if not torch.equal(one.allowed[:end, :end], two.allowed[:end, :end]):
            return False
        if isinstance(one.mixing, SelfAttention) and isinstance(two.mixing, SelfAttention):
            states.append((one.mixing.keys[:, :, :end], two.mixing.keys[:, :, :end]))
    return all(disagreement(one, two) is None for one, two in states)


def _reads_on(recording: Recording, end: int) -> bool:
    """Whether a position before `end` reads one of the prompt behind it."""
    masks = {id(layer.allowed): layer.allowed for layer in recording.layers}
    return any(bool(mask[:end, end : recording.length].any()) for mask in masks.values())


def prefix_states(recording: Recording, conditions: Sequence[Edits], end: int) -> PrefixStates:
    """Replay conditions that write before `end`, and only there, up to it.

    Args:
        recording: one of those that share the beginning.
        conditions: what each writes; those that write nothing stay clean.
        end: the first position behind the shared beginning.
    """
    chosen = list(groups(conditions, recording))
    start = min((first for first, _ in chosen), default=end)
    mixings = (layer.mixing for layer in recording.layers)
    attending = [one for one in mixings if isinstance(one, SelfAttention)]
    keys, values = (
        [clean[:, :, start:end].repeat(len(conditions), 1, 1, 1) for clean in kind]
        for kind in zip(*((one.keys, one.values) for one in attending), strict=True)
    )
    for first, members in chosen:
        size = max(
            1, pass_memory(recording.checkpoint) // row_bytes(recording, first, per_head=False)
        )

        def run(some: Sequence[int], first: int = first) -> None:
            attention = SuffixAttention(recording, first, keep=True)
            edits = [conditions[index] for index in some]
            _, plan = replay(recording, edits, first, attention, end=end, wanted=())
            for layer, batch in enumerate(plan[:-1]):
                which, rows = batch.touched(some)
                if not which:
                    continue
                for store, kept in zip((keys, values), attention.kept[layer], strict=True):
                    store[layer][which, :, first - start :] = kept[rows]

        in_passes(members, size, run)
    return PrefixStates(start, end, tuple(keys), tuple(values))
