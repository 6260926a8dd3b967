"""The keys and values of many conditions while each continues the prompt, one token at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from retinoscope.engine.edits.apply import LayerEdits, edges, removed_edges
from retinoscope.engine.recording.attention import AttentionCall, attending
from retinoscope.engine.recording.layer import CrossAttention, SelfAttention
from retinoscope.engine.recording.recording import Recording, Unreplayable
from retinoscope.engine.replay.passes import groups
from retinoscope.engine.replay.prefix import PrefixStates
from retinoscope.engine.replay.replay import predicted, replay
from retinoscope.engine.replay.sharing import attend, attend_edited
from retinoscope.engine.replay.suffix import SuffixAttention
from retinoscope.errors import ModelError
from retinoscope.interventions import Edits


class Decoding:
    """One batch of conditions behind their prompt: prefilled once, then fed token by token.

    All rows share the clean prefix up to the first position that any condition changes; behind it
    each has keys and values of its own. Layers without attention keep the inputs that they look
    back on.

    Args:
        recording: the clean run.
        conditions: what each condition does.
        prefix: their states up to some position, where they are known already; then the conditions
            write nothing behind it and change no edge.

    Attributes:
        logits: what each live condition predicts next.
    """

    def __init__(
        self, recording: Recording, conditions: Sequence[Edits], prefix: PrefixStates | None = None
    ) -> None:
        self.recording = recording
        chosen = [] if prefix else list(groups(conditions, recording))
        self.start = min((start for start, _ in chosen), default=recording.length)
        self.position = recording.length
        self.logits: Float[Tensor, "live vocabulary"] = (
            recording.logits.float().expand(len(conditions), -1).clone()
        )
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.inputs: dict[int, Tensor] = {}
        self.removed: dict[int, Tensor] = {}
        self._followed: list[Edits] = [()] * len(conditions)
        self._patched: frozenset[int] = frozenset()
        self._layer = 0
        if prefix is not None:
            self._go_on(conditions, prefix)
            return
        self._allocate(len(conditions))
        for start, members in chosen:
            self._prefill(conditions, start, members)
        self._follow(conditions)

    def feed(self, tokens: Int[Tensor, " live"]) -> None:
        """Append one token to each live condition and predict the next."""
        recording = self.recording
        generation = recording.require_replay("Decoding").generation
        if isinstance(generation, Unreplayable):
            raise ModelError(
                f"Tokens of {recording.checkpoint.name} can't be decoded one by one: "
                f"{generation.reason}."
            )
        hidden = generation.at(tokens, self.position, recording.stream[0])
        self.logits = self._advance(hidden)

    def _advance(self, hidden: Float[Tensor, "live new width"]) -> Float[Tensor, "live vocabulary"]:
        """Run new positions through every layer, and predict what follows the last."""
        recording = self.recording
        with attending(recording.checkpoint.parts.decoder, self):
            for layer in range(recording.layer_count):
                self._layer = layer
                hidden = self._through(layer, hidden.to(recording.stream[layer].device))
        self.position += hidden.shape[1]
        return recording.unembed(hidden[:, -1]).float()

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the live conditions only."""
        if len(rows) == len(self.logits):
            return
        self.logits = self.logits[list(rows)]
        for store in (self.keys, self.values, self.inputs, self.removed):
            for layer, value in store.items():
                store[layer] = value[list(rows)]
        self._followed = [self._followed[row] for row in rows]

    def _allocate(self, count: int) -> None:
        """Clean keys, values and inputs behind the shared prefix, and positions for new ones."""
        recording = self.recording
        for index, layer in enumerate(recording.layers):
            mixing = layer.mixing
            if mixing.reach:
                clean = recording.stream[index][max(0, recording.length - mixing.reach) :]
                self.inputs[index] = clean.expand(count, -1, -1).clone()
            elif isinstance(mixing, SelfAttention) and mixing.owner is None:
                self.keys[index] = self._behind(mixing.keys, count)
                self.values[index] = self._behind(mixing.values, count)

    def _behind(self, clean: Tensor, count: int) -> Float[Tensor, "live groups own width"]:
        """Each condition's own copy of what stands behind the shared prefix, new positions too."""
        length = self.recording.length
        own = clean.new_zeros(
            count,
            clean.shape[1],
            length + self.recording.max_new_tokens - self.start,
            clean.shape[3],
        )
        own[:, :, : length - self.start] = clean[:, :, self.start : length]
        return own

    def _go_on(self, conditions: Sequence[Edits], prefix: PrefixStates) -> None:
        """Take up what is known, and read the rest of the prompt."""
        recording = self.recording
        self.start, self.position = prefix.start, prefix.end
        self._allocate(len(conditions))
        for layer in self.keys:
            self.keys[layer][:, :, : prefix.end - prefix.start] = prefix.keys[layer]
            self.values[layer][:, :, : prefix.end - prefix.start] = prefix.values[layer]
        rest = recording.stream[0][prefix.end : recording.length]
        logits = self._advance(rest.expand(len(conditions), -1, -1))
        clean = [row for row, edits in enumerate(conditions) if not edits]
        logits[clean] = recording.logits.float()
        self.logits = logits

    def _prefill(self, conditions: Sequence[Edits], start: int, members: list[int]) -> None:
        """Replay some conditions from one position on and put their states in their place."""
        recording = self.recording
        attention = SuffixAttention(recording, start, keep=True)
        edits, wanted = [conditions[i] for i in members], [recording.length - 1 - start]
        hidden, plan = replay(recording, edits, start, attention, wanted=wanted)
        for layer, batch in enumerate(plan[:-1]):
            which, rows = batch.touched(members)
            if not which:
                continue
            if layer in self.keys:
                span = slice(start - self.start, recording.length - self.start)
                keys, values = attention.kept[layer]
                self.keys[layer][which, :, span] = keys[rows]
                self.values[layer][which, :, span] = values[rows]
            elif layer in self.inputs:
                inputs = attention.inputs[layer][rows]
                behind = min(inputs.shape[1], self.inputs[layer].shape[1])
                if behind:
                    self.inputs[layer][which, -behind:] = inputs[:, -behind:]
        which, rows = plan[-1].touched(members)
        last = [recording.length - 1]
        logits = predicted(recording, hidden[:, -1:], plan[-1].edits, last)
        self.logits[which] = logits[rows, 0]

    def _follow(self, conditions: Sequence[Edits]) -> None:
        """Edges whose queries include the prompt's last position hold for every new one."""
        recording, last = self.recording, self.recording.length - 1
        self._followed = [tuple(e for e in edges(one) if last in e.queries) for one in conditions]
        alone = [tuple(replace(e, queries=(last,)) for e in one) for one in self._followed]
        for index, layer in enumerate(recording.layers):
            keys = recording.length if layer.reads_sequence else layer.allowed.shape[1]
            mask = removed_edges(alone, index, (recording.head_count, 1, keys), last)
            if mask is not None:
                self.removed[index] = mask.to(layer.allowed.device)
        patched = (edge for one in alone for edge in edges(one) if edge.source is not None)
        self._patched = frozenset(edge.layer for edge in patched)

    def _through(self, layer: int, hidden: Tensor) -> Tensor:
        """One layer on the new positions."""
        recorded, before = self.recording.layers[layer], self.inputs.get(layer, hidden[:, :0])
        here = torch.arange(self.position, self.position + hidden.shape[1])
        output = recorded.mixing.step(recorded, hidden, here, before)
        reach = recorded.mixing.reach
        if reach:
            longer = torch.cat([before, hidden], dim=1)
            self.inputs[layer] = longer if reach >= self.recording.length else longer[:, -reach:]
        return output

    def __call__(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend from every new position to what stands before it."""
        layer, clean = self._layer, self.recording.layers[self._layer]
        crossing, queries = isinstance(clean.mixing, CrossAttention), call.query.shape[2]
        end = self.position + (1 if crossing else queries)
        allowed = self._allowed(clean.allowed[self.position : end]).to(call.query.device)
        if crossing:
            readable = allowed.expand(queries, -1, -1, -1).transpose(0, 1).flatten(1, 2)[None]
            return call.masked(readable).run()
        assert isinstance(clean.mixing, SelfAttention)
        at = slice(self.position - self.start, end - self.start)
        if clean.mixing.owner is None:
            self.keys[layer][:, :, at] = call.key
            self.values[layer][:, :, at] = call.value
        else:
            layer = clean.mixing.owner
        prefix = (clean.mixing.keys[:, :, : self.start], clean.mixing.values[:, :, : self.start])
        own = (self.keys[layer][:, :, : at.stop], self.values[layer][:, :, : at.stop])
        if self._layer not in self._patched:
            return attend(call, prefix, own, allowed[..., :end])
        here = tuple(range(self.position, end))
        moved = [tuple(replace(e, queries=here) for e in one) for one in self._followed]
        now = LayerEdits(moved, self._layer)
        return attend_edited(call, prefix, own, allowed[..., :end], now, here)

    def _allowed(self, rows: Bool[Tensor, "new keys"]) -> Bool[Tensor, "#live #heads new keys"]:
        """What the new positions may read in this layer, in each live condition."""
        allowed, removed = rows[None, None], self.removed.get(self._layer)
        if removed is None:
            return allowed
        behind = rows.shape[1] - removed.shape[-1]
        return allowed & ~nn.functional.pad(removed, (0, behind))
