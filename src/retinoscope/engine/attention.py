"""A seat inside the model's own attention: sees queries, keys, values and mask of every layer.

Two attention back ends are registered with transformers, one over SDPA and one over eager
attention. They do exactly what their base does until a handler is installed for the current
context. Their mask functions are registered with them: a back end without one silently runs
with plain causal attention.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask, sdpa_mask

AttentionFunction = Callable[..., tuple[Tensor, Tensor | None]]


@runtime_checkable
class Handler(Protocol):
    """Stands in for the attention function of every layer while it is installed."""

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
        """Attend, usually by calling `base` with another mask or other keys."""
        ...


_handler: ContextVar[Handler | None] = ContextVar("retinoscope_attention", default=None)

_PREFIX = "retinoscope_"


def _seat(base: AttentionFunction) -> AttentionFunction:
    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None]:
        handler = _handler.get()
        if handler is None:
            return base(module, query, key, value, attention_mask, **options)
        return handler(module, query, key, value, attention_mask, base, **options)

    return attention


def eager_attention(module: nn.Module, *args: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
    """The eager attention function that the module's own file defines."""
    return sys.modules[type(module).__module__].eager_attention_forward(module, *args, **options)


AttentionInterface.register(f"{_PREFIX}sdpa", _seat(sdpa_attention_forward))
AttentionInterface.register(f"{_PREFIX}eager", _seat(eager_attention))
AttentionMaskInterface.register(f"{_PREFIX}sdpa", sdpa_mask)
AttentionMaskInterface.register(f"{_PREFIX}eager", eager_mask)


@contextmanager
def attending(decoder: nn.Module, handler: Handler) -> Iterator[None]:
    """Install a handler in a decoder's attention; everything is put back on leaving.

    A decoder set to eager attention keeps it; every other back end is run through SDPA, since a
    mask of one's own cannot pass flash or flex attention.
    """
    configs: dict[int, Any] = {
        id(config): config
        for config in (getattr(module, "config", None) for module in decoder.modules())
        if hasattr(config, "_attn_implementation")
    }
    before = {key: config._attn_implementation for key, config in configs.items()}
    token = _handler.set(handler)
    try:
        for key, config in configs.items():
            base = "eager" if before[key] == "eager" else "sdpa"
            config._attn_implementation = f"{_PREFIX}{base}"
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation = before[key]
        _handler.reset(token)


def as_allowed(mask: Tensor) -> Bool[Tensor, ...]:
    """A mask, boolean or additive as attention functions take it, True where reading is allowed."""
    return mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2


def as_mask(allowed: Bool[Tensor, ...], like: Tensor, base: AttentionFunction) -> Tensor:
    """The form of a mask that the base attention function takes: boolean for SDPA, else additive.

    SDPA turns False into minus infinity, eager attention adds the most negative number; both give
    a blocked edge exactly zero weight as long as its query can read something.
    """
    if base is sdpa_attention_forward:
        return allowed
    zero = torch.zeros(allowed.shape, dtype=like.dtype, device=like.device)
    return zero.masked_fill(~allowed, torch.finfo(like.dtype).min)
