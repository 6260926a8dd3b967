"""Greedy generation of many conditions at once, each with its interventions in force throughout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from retinoscope.engine.attention import AttentionFunction, as_mask, attending
from retinoscope.engine.blocking import blocked
from retinoscope.engine.evaluate import checked_sites, chunks
from retinoscope.engine.recording import Recording
from retinoscope.engine.replay import call_layer, written
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition, Sites, as_condition

Stop = Callable[[list[int]], bool]
"""Given the tokens generated so far, whether to end here."""


@dataclass(frozen=True)
class Generation:
    """One generated answer.

    Attributes:
        tokens: the generated token ids, the end-of-text token left out.
        probabilities: the probability of each generated token when it was chosen, 0 to 1.
        ended: the model ended the text itself; else the length or the caller's predicate did.
    """

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]
    ended: bool


@torch.no_grad()
def generate(
    recording: Recording,
    conditions: Sequence[Condition],
    *,
    length: int | None = None,
    stop: Stop | None = None,
) -> list[Generation]:
    """Greedy continuation of the prompt under each condition.

    Ablations and patches act on the prompt's positions; knockouts stay in force while tokens are
    generated: where the last position of the prompt is among a knockout's queries, so is every
    generated token, since each becomes the last position in its turn.

    Args:
        recording: the clean run, recorded with `room` for at least `length` tokens.
        conditions: each a tuple of interventions in force together; () is the clean run.
        length: at most this many tokens; None is all the room there is.
        stop: ends an answer early.

    Raises:
        InterventionError: as in `evaluate`, or the recording has too little room.
    """
    length = recording.room if length is None else length
    if not 1 <= length <= recording.room:
        raise InterventionError(
            f"Generating {length} tokens needs a recording with room for them; this one has room "
            f"for {recording.room}. Record again with room={max(length, 1)}."
        )
    sites = [checked_sites(as_condition(condition), recording) for condition in conditions]
    return [
        generation
        for chunk in chunks(sites, recording)
        for generation in _Decoding(recording, chunk).run(length, stop)
    ]


class _Decoding:
    """The keys and values of one batch of conditions while they are generated."""

    def __init__(self, recording: Recording, conditions: Sequence[Sites]) -> None:
        self.recording = recording
        self.conditions = list(conditions)
        self.total = recording.length + recording.room
        self.rows = torch.arange(len(conditions))
        self.positions = torch.arange(recording.length)
        self.layer = 0
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.cuts = {
            layer: blocked(followed(conditions, recording), layer, recording, self.total)
            for layer in range(recording.layer_count)
        }

    def run(self, length: int, stop: Stop | None) -> list[Generation]:
        """Prefill, then one token at a time until every condition has ended."""
        count = len(self.conditions)
        found: list[list[tuple[int, float]]] = [[] for _ in range(count)]
        ended = [False] * count
        ends = end_tokens(self.recording)
        hidden = self._layers(self.recording.stream[0].expand(count, -1, -1), prefill=True)
        live = list(range(count))
        for step in range(length):
            chosen, probability = self._choose(hidden[:, -1])
            going = []
            for row, index in enumerate(live):
                token = int(chosen[row])
                if token in ends:
                    ended[index] = True
                    continue
                found[index].append((token, float(probability[row])))
                if stop is None or not stop([t for t, _ in found[index]]):
                    going.append(row)
            live = [live[row] for row in going]
            if not live or step == length - 1:
                break
            hidden = self._step(chosen[going], torch.tensor(going), step)
        return [
            Generation(tuple(t for t, _ in pairs), tuple(p for _, p in pairs), end)
            for pairs, end in zip(found, ended, strict=True)
        ]

    def _step(self, tokens: Int[Tensor, " live"], going: Int[Tensor, " live"], step: int) -> Tensor:
        self.rows = self.rows[going]
        self.keys = {layer: keys[going] for layer, keys in self.keys.items()}
        self.values = {layer: values[going] for layer, values in self.values.items()}
        self.positions = torch.tensor([self.recording.length + step])
        embedding = self.recording.checkpoint.parts.embedding
        return self._layers(embedding(tokens)[:, None], prefill=False)

    def _choose(self, hidden: Float[Tensor, "live width"]) -> tuple[Tensor, Tensor]:
        logits = self.recording.unembed(hidden).float()
        best = logits.max(-1)
        return best.indices, (best.values - logits.logsumexp(-1)).exp()

    def _layers(self, hidden: Tensor, *, prefill: bool) -> Tensor:
        recording = self.recording
        with attending(recording.checkpoint.parts.decoder, self):
            for place in range(recording.layer_count):
                if prefill:
                    if place in recording.additions:
                        hidden = hidden + recording.additions[place]
                    hidden = written(hidden, self.conditions, place)
                self.layer = place
                hidden = call_layer(recording, place, hidden, self.positions)
        if prefill:
            hidden = written(hidden, self.conditions, recording.layer_count)
        return hidden

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
        layer, seen = self.layer, int(self.positions[-1]) + 1
        if layer in self.keys:
            key = torch.cat([self.keys[layer], key], dim=2)
            value = torch.cat([self.values[layer], value], dim=2)
        self.keys[layer], self.values[layer] = key, value
        positions = self.positions.to(query.device)
        allowed = self.recording.calls[layer].allowed[positions, :seen][None, None]
        cut = self.cuts[layer]
        if cut is not None:
            allowed = allowed & ~cut[self.rows][:, :, positions, :seen]
        return base(module, query, key, value, as_mask(allowed, query, base), **options)


def followed(conditions: Sequence[Sites], recording: Recording) -> list[Sites]:
    """The conditions with every block of the last prompt position extended to generated ones."""
    room = tuple(range(recording.length, recording.length + recording.room))
    return [
        Sites(
            sites.writes,
            tuple(
                type(block)(block.layer, block.queries + room, block.keys, block.heads)
                if recording.length - 1 in block.queries
                else block
                for block in sites.blocks
            ),
        )
        for sites in conditions
    ]


def end_tokens(recording: Recording) -> set[int]:
    """Token ids that end a text, from the generation config, the text config or the tokenizer."""
    checkpoint = recording.checkpoint
    places = (
        getattr(checkpoint.model, "generation_config", None),
        checkpoint.parts.decoder.config.get_text_config(decoder=True),
        checkpoint.tokenizer,
    )
    for place in places:
        ends = getattr(place, "eos_token_id", None)
        if ends is not None:
            return set(ends) if isinstance(ends, list) else {ends}
    return set()
