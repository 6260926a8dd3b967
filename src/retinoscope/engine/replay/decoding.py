"""The keys and values of many conditions while each continues the prompt, one token at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from retinoscope.engine.edits.apply import edges, removed_edges
from retinoscope.engine.edits.steps import stepwise
from retinoscope.engine.recording.attention import AttentionCall, additive, attending
from retinoscope.engine.recording.mixing import call_layer
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.replay.passes import groups
from retinoscope.engine.replay.prefix import PrefixStates
from retinoscope.engine.replay.replay import predicted, replay
from retinoscope.engine.replay.sharing import attend
from retinoscope.engine.replay.suffix import SuffixAttention
from retinoscope.errors import ModelError
from retinoscope.interventions import Edge, Edits


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
        self.patched: dict[int, list[list[Edge]]] = {}
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
        if recording.token_input is None:
            raise ModelError("Generating needs a recording with max_new_tokens of at least 1.")
        hidden = recording.token_input.at(tokens, self.position, recording.stream[0])
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
        self.patched = {layer: [each[row] for row in rows] for layer, each in self.patched.items()}

    def _allocate(self, count: int) -> None:
        """Clean keys, values and inputs behind the shared prefix, and positions for new ones."""
        recording = self.recording
        for layer, call in enumerate(recording.calls):
            if call.mixing == "left context":
                first = max(0, recording.length - call.context)
                clean = recording.stream[layer][first:]
                self.inputs[layer] = clean.expand(count, -1, -1).clone()
            elif call.mixing == "attention" and call.owner is None:
                assert call.keys is not None and call.values is not None
                self.keys[layer] = self._behind(call.keys, count)
                self.values[layer] = self._behind(call.values, count)

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
        last = self.recording.length - 1
        followed = [
            tuple(replace(e, queries=(last,)) for e in edges(one) if last in e.queries)
            for one in conditions
        ]
        for layer in range(self.recording.layer_count):
            mask = removed_edges(followed, layer, self.recording, last)
            if mask is not None:
                self.removed[layer] = mask
            patched = [[e for e in edges(one, layer) if e.source is not None] for one in followed]
            if any(patched):
                self.patched[layer] = patched

    def _through(self, layer: int, hidden: Tensor) -> Tensor:
        recording, call = self.recording, self.recording.calls[layer]
        here = torch.arange(self.position, self.position + hidden.shape[1])
        if call.mixing == "cross-attention":
            packed = call_layer(recording, layer, hidden.transpose(0, 1), here.repeat(len(hidden)))
            return packed.transpose(0, 1)
        if call.mixing == "left context":
            longer = torch.cat([self.inputs[layer], hidden], dim=1)
            first = self.position + 1 - longer.shape[1]
            output = call_layer(recording, layer, longer, torch.arange(first, self.position + 1))
            self.inputs[layer] = longer[:, -call.context :] if call.context else longer[:, :0]
            if call.context >= recording.length:
                self.inputs[layer] = longer
            return output[:, -1:]
        return call_layer(recording, layer, hidden, here)

    def __call__(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend from every new position to what stands before it."""
        layer, clean = self._layer, self.recording.calls[self._layer]
        crossing, queries = clean.mixing == "cross-attention", call.query.shape[2]
        end = self.position + (1 if crossing else queries)
        allowed = self._allowed(clean.allowed[self.position : end]).to(call.query.device)
        if crossing:
            readable = allowed.expand(queries, -1, -1, -1).transpose(0, 1).flatten(1, 2)[None]
            return call.masked(readable).run()
        assert clean.keys is not None and clean.values is not None
        at = slice(self.position - self.start, end - self.start)
        if clean.owner is None:
            self.keys[layer][:, :, at] = call.key
            self.values[layer][:, :, at] = call.value
        else:
            layer = clean.owner
        prefix = (clean.keys[:, :, : self.start], clean.values[:, :, : self.start])
        own = (self.keys[layer][:, :, : at.stop], self.values[layer][:, :, : at.stop])
        output, weights = attend(call, prefix, own, allowed[..., :end])
        for row, patched in enumerate(self.patched.get(self._layer, [])):
            if patched:
                output = output.clone()
                output[row] = self._patched(call, prefix, own, allowed[..., :end], row, patched)
        return output, weights

    def _patched(
        self,
        call: AttentionCall,
        prefix: tuple[Tensor, Tensor],
        own: tuple[Tensor, Tensor],
        allowed: Tensor,
        row: int,
        patched: list[Edge],
    ) -> Tensor:
        """The attention of one condition whose new positions read other keys and values."""
        key, value = (
            torch.cat([clean, new[[row]]], dim=2) for clean, new in zip(prefix, own, strict=True)
        )
        mask = additive(allowed[[row if len(allowed) > 1 else 0]], call.query)
        one = replace(call, query=call.query[[row]], key=key, value=value, mask=mask)
        here = tuple(range(self.position, self.position + call.query.shape[2]))
        there = [replace(edge, queries=here) for edge in patched]
        return stepwise(one, there, (), lambda _, state: state, self.position)[0]

    def _allowed(self, rows: Bool[Tensor, "new keys"]) -> Bool[Tensor, "#live #heads new keys"]:
        """What the new positions may read in this layer, in each live condition."""
        allowed = rows[None, None]
        removed = self.removed.get(self._layer)
        if removed is None:
            return allowed
        behind = rows.shape[1] - removed.shape[-1]
        return allowed & ~nn.functional.pad(removed, (0, behind))
