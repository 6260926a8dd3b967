"""One decoder layer as it was recorded: how the model called it, and how it mixes positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from retinoscope.brief import brief_fields

OUTSIDE = ("cross_attention_states", "encoder_hidden_states")
"""Arguments that hold no positions of the sequence, whatever their shape."""

CLEARED = {
    "past_key_values": None,
    "past_key_value": None,
    "use_cache": False,
}
"""Arguments that the engine takes the place of: caches."""

CONVOLUTION = 16
"""A reach up to this is taken as a convolution's; anything longer as a recurrence's."""


@dataclass(frozen=True, eq=False)
class SelfAttention:
    """A layer whose positions read one another.

    Attributes:
        keys: of the clean run, after position embedding.
        values: of the clean run.
        owner: the earlier layer whose keys and values this one reads (Gemma 4); None where it has
            its own.
    """

    keys: Float[Tensor, "1 groups recorded width"]
    values: Float[Tensor, "1 groups recorded width_of_values"]
    owner: int | None = None

    __repr__ = brief_fields
    reach = 0

    def step(
        self, layer: RecordedLayer, hidden: Tensor, positions: Tensor, before: Tensor
    ) -> Tensor:
        """The layer on some positions; what they read, the attention function brings with it."""
        return layer(hidden, positions)


@dataclass(frozen=True)
class CrossAttention:
    """A layer whose positions read image states outside the sequence."""

    reach = 0

    def step(
        self, layer: RecordedLayer, hidden: Tensor, positions: Tensor, before: Tensor
    ) -> Tensor:
        """All rows one after the other in one sequence, since they share the image states."""
        packed = layer(hidden.flatten(0, 1)[None], positions.repeat(len(hidden)))
        return packed.view_as(hidden)


@dataclass(frozen=True)
class LeftContext:
    """A convolution or recurrence over what stands to the left, run again behind its clean context.

    Attributes:
        reach: how many positions to the left one depends on; the whole length where they are many.
    """

    reach: int

    def step(
        self, layer: RecordedLayer, hidden: Tensor, positions: Tensor, before: Tensor
    ) -> Tensor:
        """The layer on what stands before and on the positions themselves."""
        longer, first = torch.cat([before, hidden], dim=1), int(positions[0]) - before.shape[1]
        output = layer(longer, torch.arange(first, first + longer.shape[1]))
        return output[:, before.shape[1] :]


Mixing = SelfAttention | CrossAttention | LeftContext
"""How a layer lets positions read. Each owns its `step`: the layer on positions of several rows.

The step is given the layer; the rows' states, [rows, count, width]; where they stand, [count]; and
the layer's inputs at up to `reach` positions before them, [rows, before, width].
"""


@dataclass(frozen=True, eq=False)
class RecordedLayer:
    """How the model called one decoder layer, and how that layer mixes positions.

    Attributes:
        module: the layer itself.
        args: positional arguments after the hidden states.
        options: keyword arguments, as the model computed them (position embeddings and all).
        allowed: which query (row) may read which key (column), over the recorded positions; in a
            cross-attention layer the keys are image states.
        mixing: how the layer lets positions read.
    """

    module: nn.Module
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    allowed: Bool[Tensor, "recorded keys"]
    mixing: Mixing

    __repr__ = brief_fields

    @property
    def reads_sequence(self) -> bool:
        """What is read are positions of the sequence."""
        return not isinstance(self.mixing, CrossAttention)

    @property
    def padding_mask(self) -> Shaped[Tensor, "1 recorded"] | None:
        """The mask by which a layer without attention blanks padding itself, if there is one.

        Every other mask is the attention function's, whose place the engine takes.
        """
        mask = self.options.get("attention_mask")
        if isinstance(self.mixing, LeftContext) and isinstance(mask, Tensor) and mask.ndim == 2:
            return mask
        return None

    def __call__(self, hidden: Tensor, positions: Tensor) -> Tensor:
        """The layer on chosen positions, called the way the model called it on all.

        Args:
            hidden: its input, [rows, positions, width].
            positions: where in the sequence the input's second dimension stands.
        """
        total = len(self.allowed)
        options = {
            name: value if name in OUTSIDE else at_positions(value, total, positions, len(hidden))
            for name, value in self.options.items()
        }
        options |= {name: value for name, value in CLEARED.items() if name in options}
        if "attention_mask" in options and self.padding_mask is None:
            options["attention_mask"] = None
        args = at_positions(self.args, total, positions, len(hidden))
        output: Any = self.module(hidden, *args, **options)
        return output[0] if isinstance(output, tuple) else output


def at_positions(value: Any, total: int, positions: Tensor, rows: int) -> Any:
    """Recorded arguments of a layer at some of its positions.

    Every tensor that has the sequence's length in a dimension after the first (the batch) is
    indexed there: position embeddings [batch, positions, width] in the last dimension but one,
    position ids (and multi-axis ones) in the last. A number for each position (its kind, its
    place) is repeated for each row, since some models take it for as many as there are states
    (Ernie 4.5 VL MoE). Everything else is passed on.
    """
    if isinstance(value, Tensor):
        for dim in range(min(1, value.ndim - 1), value.ndim):
            if value.shape[dim] == total:
                chosen = value.index_select(dim, positions.to(value.device))
                each = chosen.ndim == 2 and not chosen.is_floating_point()
                return chosen.expand(rows, -1) if each and len(chosen) == 1 else chosen
        return value
    if isinstance(value, dict):
        return {key: at_positions(item, total, positions, rows) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(at_positions(item, total, positions, rows) for item in value)
    return value


def tensors(value: Any) -> list[Tensor]:
    """Every tensor in nested arguments."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for item in value.values() for t in tensors(item)]
    if isinstance(value, tuple | list):
        return [t for item in value for t in tensors(item)]
    return []


def reach_back(layer: RecordedLayer, clean: Float[Tensor, "length width"]) -> int | None:
    """How many positions back a layer reads; the whole length if far, None if it reads ahead.

    Measured, not looked up, by moving the layer's clean input at one position and seeing whose
    output moves; where none does, nothing is known, and all is taken.
    """
    length, at = len(clean), _middle(layer, len(clean))
    moved = clean.clone()
    moved[at] = -clean[at].roll(1)
    every = torch.arange(length)
    before, after = (layer(hidden[None], every) for hidden in (clean, moved))
    change = (after - before)[0].float().abs().amax(-1)
    if bool((change[:at] > 1e-5 * float(change.max())).any()):
        return None
    if not bool(change.any()):
        return length
    reach = int(torch.nonzero(change)[-1]) - at
    return reach if reach <= min(CONVOLUTION, length - 2 - at) else length


def _middle(layer: RecordedLayer, length: int) -> int:
    """The middle of the positions that the layer doesn't take as padding."""
    mask = layer.padding_mask
    if mask is None:
        return length // 2
    read = torch.nonzero(mask[0, :length]).flatten().tolist()
    return read[len(read) // 2] if read else length // 2
