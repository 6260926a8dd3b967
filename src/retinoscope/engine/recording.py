"""Recording: everything of one clean run that conditions can share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from retinoscope.models import Checkpoint, Encoded


@dataclass(frozen=True, eq=False)
class LayerCall:
    """How the model called one decoder layer.

    Attributes:
        args: positional arguments after the hidden states.
        options: keyword arguments, as the model computed them (position embeddings and all).
        allowed: which query (row) may read which key (column), over the recorded positions.
    """

    args: tuple[Any, ...]
    options: Mapping[str, Any]
    allowed: Bool[Tensor, "recorded recorded"]


@dataclass(frozen=True, eq=False)
class Recording:
    """One clean forward pass of one prompt.

    The sequence may be recorded with room behind the prompt: filler tokens whose position
    embeddings and masks are needed to generate there. Nothing of the prompt can see them.

    Attributes:
        checkpoint: the model.
        encoded: the prompt.
        length: positions of the prompt.
        stream: the residual stream at every place, 0 (input of the first layer) to the number of
            layers (output of the last), raw, before any final norm; prompt positions only.
        additions: what the model adds between layers by place (DeepStack), prompt positions only.
        calls: how each layer was called, over prompt and room.
        norm: the final norm.
        finish: what the model does to the unembedding's output (logit scale, soft-cap).
        logits: the clean logits at the last position.
        room: positions recorded behind the prompt.
    """

    checkpoint: Checkpoint
    encoded: Encoded
    length: int
    stream: tuple[Float[Tensor, "positions width"], ...]
    additions: Mapping[int, Float[Tensor, "positions width"]]
    calls: tuple[LayerCall, ...]
    norm: nn.Module
    finish: Callable[[Tensor], Tensor]
    logits: Float[Tensor, " vocabulary"]
    room: int = 0

    @property
    def layer_count(self) -> int:
        """Number of decoder layers."""
        return len(self.calls)

    @property
    def head_count(self) -> int:
        """Number of query heads in each layer."""
        return self.checkpoint.parts.head_count

    @property
    def mean_token(self) -> Float[Tensor, " width"] | None:
        """The checkpoint's mean visual token, if it is known."""
        return self.checkpoint.mean

    def residual(self, layer: int) -> Float[Tensor, "positions width"]:
        """The clean residual stream at a place, 0 to the number of layers."""
        return self.stream[layer]

    @cached_property
    def nbytes(self) -> int:
        """Memory that the recording holds, in bytes, shared tensors counted once."""
        tensors = [*self.stream, *self.additions.values(), self.logits]
        for call in self.calls:
            tensors += [call.allowed, *_tensors(call.args), *_tensors(dict(call.options))]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        return sum(storages.values())

    def unembed(self, hidden: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch vocabulary"]:
        """Final norm, unembedding and whatever the model does to its logits after it."""
        return self.finish(self.checkpoint.parts.head(self.norm(hidden)))


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for item in value.values() for t in _tensors(item)]
    if isinstance(value, tuple | list):
        return [t for item in value for t in _tensors(item)]
    return []


def at_positions(value: Any, total: int, positions: Tensor) -> Any:
    """Recorded arguments of a layer, cut down to some of its positions.

    Every tensor that has the sequence's length in a dimension after the first is indexed there:
    position embeddings [batch, positions, width] in the last dimension but one, position ids
    (and multi-axis ones) in the last. Everything else is passed on.
    """
    if isinstance(value, Tensor):
        for dim in range(1, value.ndim):
            if value.shape[dim] == total:
                return value.index_select(dim, positions.to(value.device))
        return value
    if isinstance(value, dict):
        return {key: at_positions(item, total, positions) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(at_positions(item, total, positions) for item in value)
    return value
