"""A seat inside the model's own attention: sees queries, keys, values and mask of every layer.

Two attention back ends are registered with transformers, one over SDPA and one over eager
attention. They do exactly what their base does until a handler is installed for the current
context. Their mask functions are registered with them: a back end without one silently runs
with plain causal attention.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask, sdpa_mask

from retinoscope.errors import ModelError

AttentionFunction = Callable[..., tuple[Tensor, Tensor | None]]


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """One call of a layer's attention function.

    Attributes:
        module: the attention module that calls.
        query: after position embedding, [batch, heads, queries, width].
        key: likewise, [batch, groups, keys, width].
        value: [batch, groups, keys, width].
        mask: as the module gives it, boolean or additive; None where there is none.
        base: the attention function that the model runs.
        options: its keyword arguments.
    """

    module: nn.Module
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    base: AttentionFunction
    options: Mapping[str, Any]

    def run(self) -> tuple[Tensor, Tensor | None]:
        """What the attention function makes of it: [batch, queries, heads, width], and weights."""
        return self.base(self.module, self.query, self.key, self.value, self.mask, **self.options)

    def with_fields(self, visit: Callable[[str, Tensor], Tensor]) -> AttentionCall:
        """The call with queries, keys and values visited, each [batch, positions, heads, width].

        Args:
            visit: is given the field's name and its state; what it returns goes on.
        """
        fields = {"query": self.query, "key": self.key, "value": self.value}
        visited = {name: visit(name, state.transpose(1, 2)) for name, state in fields.items()}
        return replace(self, **{name: state.transpose(1, 2) for name, state in visited.items()})

    def explicit_mask(self) -> Tensor:
        """The mask, made where there is none: plain causal attention, or reading all there is."""
        if self.mask is not None:
            return self.mask
        queries, keys = self.query.shape[2], self.key.shape[2]
        mask = torch.ones(1, 1, queries, keys, dtype=torch.bool, device=self.query.device)
        return mask.tril(keys - queries) if self.causal else mask

    def masked(self, allowed: Bool[Tensor, "#rows #heads queries keys"]) -> AttentionCall:
        """The same call with another mask, True where reading is allowed."""
        return replace(self, mask=as_mask(allowed, self.query, self.base))

    @property
    def causal(self) -> bool:
        """Without a mask, no position reads a later one."""
        said = self.options.get("is_causal")
        return bool(getattr(self.module, "is_causal", True) if said is None else said)

    @property
    def crossing(self) -> bool:
        """The keys stand for something outside the sequence, in a pass over the whole of it."""
        return self.crosses or self.key.shape[-2] != self.query.shape[-2]

    @property
    def crosses(self) -> bool:
        """Its module says by its name that the keys stand for something outside the sequence."""
        return "cross" in type(self.module).__name__.lower()


Handler = Callable[[AttentionCall], tuple[Tensor, Tensor | None]]
"""Stands in for the attention function of every layer; usually runs the call with a change."""

_handler: ContextVar[Handler | None] = ContextVar("retinoscope_attention", default=None)
_attended: ContextVar[frozenset[int]] = ContextVar("retinoscope_attended", default=frozenset())

_PREFIX = "retinoscope_"


class _SeatName(str):
    """The name of a back end that reads as the base's and is looked up as the seat's.

    Models compare the name of their back end to decide whether to build a sparse mask themselves
    (`in ("eager", "sdpa")`: Mistral Large 4, MiniMax M3, Dots 3, GLM 5); another name would
    change what they compute. The registry finds the seat by this name's hash.
    """

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) or other == _PREFIX + str(self)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(_PREFIX + str(self))


def _seat(base: AttentionFunction) -> AttentionFunction:
    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None]:
        call = AttentionCall(module, query, key, value, attention_mask, base, options)
        handler = _handler.get()
        return call.run() if handler is None else handler(call)

    return attention


def eager_attention(module: nn.Module, *args: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
    """The eager attention function that the module's own file defines.

    Raises:
        ModelError: it defines none under the usual name.
    """
    home = sys.modules[type(module).__module__]
    if not hasattr(home, "eager_attention_forward"):
        raise ModelError(
            f"{home.__name__} defines no eager_attention_forward, so the eager attention of "
            f'{type(module).__name__} can\'t be reached; load it with attn_implementation="sdpa".'
        )
    return home.eager_attention_forward(module, *args, **options)


AttentionInterface.register(f"{_PREFIX}sdpa", _seat(sdpa_attention_forward))
AttentionInterface.register(f"{_PREFIX}eager", _seat(eager_attention))
AttentionMaskInterface.register(f"{_PREFIX}sdpa", sdpa_mask)
AttentionMaskInterface.register(f"{_PREFIX}eager", eager_mask)


@contextmanager
def attending(decoder: nn.Module, handler: Handler) -> Iterator[None]:
    """Install a handler in a decoder's attention; everything is put back on leaving.

    A decoder set to eager attention keeps it; every other back end is run through SDPA, since a
    mask of one's own cannot pass flash or flex attention.

    Raises:
        ModelError: the decoder has a handler already, which this one would silently replace.
    """
    if id(decoder) in _attended.get():
        raise ModelError(
            "A condition is in force on this model (`with view.hooks(...)`), so that what was run "
            "now would not be the clean run; leave that block first, or name all interventions in "
            "one call."
        )
    configs: dict[int, Any] = {
        id(config): config
        for config in (getattr(module, "config", None) for module in decoder.modules())
        if hasattr(config, "_attn_implementation")
    }
    before = {key: config._attn_implementation for key, config in configs.items()}
    token, of = _handler.set(handler), _attended.set(_attended.get() | {id(decoder)})
    try:
        for key, config in configs.items():
            # Under "" it is this configuration's own name; a bare name would go to all below it.
            config._attn_implementation = {"": _SeatName(base_of(before[key]))}
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation = {"": before[key]}
        _attended.reset(of)
        _handler.reset(token)


def base_of(implementation: str | None) -> str:
    """The back end that a seat stands over: eager attention (None is eager too), else SDPA."""
    return "eager" if implementation in ("eager", None) else "sdpa"


def as_allowed(mask: Tensor) -> Bool[Tensor, ...]:
    """A mask, boolean or additive as attention functions take it, True where reading is allowed."""
    return mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2


def as_mask(allowed: Bool[Tensor, ...], like: Tensor, base: AttentionFunction) -> Tensor:
    """The form of a mask that the base attention function takes: boolean for SDPA, else additive.

    SDPA turns False into minus infinity, eager attention adds the most negative number; both give
    a removed edge exactly zero weight as long as its query can read something.
    """
    return allowed if base is sdpa_attention_forward else additive(allowed, like)


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask, boolean or additive, as what is added to the scores."""
    if mask.dtype != torch.bool:
        return mask.to(like)
    zero = torch.zeros(mask.shape, dtype=like.dtype, device=like.device)
    return zero.masked_fill(~mask, torch.finfo(like.dtype).min)
