"""Run the decoder again from the recorded input, with many conditions as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retinoscope.engine.attention import AttentionFunction, as_mask, attending
from retinoscope.engine.blocking import blocked
from retinoscope.engine.recording import Recording, at_positions
from retinoscope.errors import InterventionError
from retinoscope.interventions import Sites


@torch.no_grad()
def replay(
    recording: Recording, conditions: Sequence[Sites]
) -> Float[Tensor, "conditions positions width"]:
    """The residual stream after the last layer under each condition, raw, at every position.

    Every layer runs in full for every condition, from the language model's input on; the vision
    tower and the merging of its tokens are shared through the recording.

    Args:
        recording: the clean run.
        conditions: what each condition touches, checked.

    Raises:
        InterventionError: a layer's attention was not reached, so that a knockout could not
            have taken effect.
    """
    hidden = recording.stream[0].expand(len(conditions), -1, -1)
    return run_layers(recording, hidden, conditions)


def run_layers(
    recording: Recording,
    hidden: Float[Tensor, "rows positions width"],
    conditions: Sequence[Sites],
) -> Float[Tensor, "rows positions width"]:
    """Every decoder layer on inputs of one's own, one condition for each row; differentiable.

    Raises:
        InterventionError: a layer's attention was not reached.
    """
    positions = torch.arange(recording.length)
    attention = _BlockedAttention(recording, conditions)
    with attending(recording.checkpoint.parts.decoder, attention):
        for place in range(recording.layer_count):
            if place in recording.additions:
                hidden = hidden + recording.additions[place]
            hidden = written(hidden, conditions, place)
            hidden = attention.through(place, hidden, positions)
    return written(hidden, conditions, recording.layer_count)


def written(
    hidden: Float[Tensor, "conditions positions width"], conditions: Sequence[Sites], place: int
) -> Float[Tensor, "conditions positions width"]:
    """The stream with every write of this place carried out in its own condition's row."""
    writes = [
        (i, w) for i, sites in enumerate(conditions) for w in sites.writes if w.layer == place
    ]
    if not writes:
        return hidden
    hidden = hidden.clone()
    for index, write in writes:
        rows = list(write.positions)
        values = write.values.to(hidden)
        hidden[index, rows] = hidden[index, rows] + values if write.add else values
    return hidden


def call_layer(recording: Recording, index: int, hidden: Tensor, positions: Tensor) -> Tensor:
    """One decoder layer on chosen positions, called the way the model called it."""
    call = recording.calls[index]
    total = recording.length + recording.room
    options = {
        name: at_positions(value, total, positions)
        for name, value in call.options.items()
        if name not in ("attention_mask", "past_key_values", "use_cache")
    }
    args = at_positions(call.args, total, positions)
    output: Any = recording.checkpoint.parts.layers[index](hidden, *args, **options)
    return output[0] if isinstance(output, tuple) else output


class _BlockedAttention:
    """Attention over the whole prompt with each condition's edges cut."""

    def __init__(self, recording: Recording, conditions: Sequence[Sites]) -> None:
        self.recording = recording
        self.conditions = conditions
        self.layer = 0
        self.reached = False

    def through(self, layer: int, hidden: Tensor, positions: Tensor) -> Tensor:
        """One layer, and the proof that its attention passed through here."""
        self.layer, self.reached = layer, False
        hidden = call_layer(self.recording, layer, hidden, positions)
        if not self.reached:
            raise InterventionError(
                f"Decoder layer {layer} ran without its attention passing the engine's seat, so "
                "a knockout could not take effect; this model can't be replayed."
            )
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
        self.reached = True
        length = self.recording.length
        allowed = self.recording.calls[self.layer].allowed[:length, :length].to(query.device)
        cut = blocked(self.conditions, self.layer, self.recording, length)
        allowed = allowed[None, None] if cut is None else allowed & ~cut.to(query.device)
        return base(module, query, key, value, as_mask(allowed, query, base), **options)
