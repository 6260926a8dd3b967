"""What tells a model that was handed over as an object from any other: its weights and settings."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import torch
from torch import Tensor, nn

from retinoscope.models.weights import stored

_LEFT_OUT = {*vars(nn.Module()), "_output_capturing_hooks_installed"}
"""What every module has, and what transformers notes in a model's first run."""


def content_hash(model: nn.Module) -> str:
    """SHA-256 of all that a model stores, and of the plain settings of its modules.

    Settings count since some shape what a model does: an adapter's scaling, say. Where something
    is no plain tensor (packed integers of a quantised layer) or a module has hooks of others, the
    hash is another one each time, so that nothing that was kept for one model is taken for another.
    """
    total = hashlib.sha256()
    for name, module in model.named_modules():
        settings = {k: v for k, v in vars(module).items() if k not in _LEFT_OUT}
        total.update(f"{name} {type(module)} {_plain(settings)}".encode())
        if _hooked(module):
            total.update(secrets.token_bytes())
    for key, value in stored(model):
        total.update(key.encode())
        if type(value) is not Tensor or value.is_quantized or value.is_meta:
            total.update(secrets.token_bytes())
            continue
        total.update(f"{value.dtype} {list(value.shape)}".encode())
        total.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _hooked(module: nn.Module) -> bool:
    """Whether somebody hooked into a module; transformers' own hooks, from a first run on, look."""
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return any(not str(hook.__module__).startswith("transformers.") for hook in hooks)


def _plain(value: Any) -> str:
    """A setting as text; of what is no plain value, its type alone."""
    match value:
        case bool() | int() | float() | str() | None:
            return repr(value)
        case dict():
            return str(sorted(f"{key}: {_plain(one)}" for key, one in value.items()))
        case list() | tuple():
            return str([_plain(one) for one in value])
        case set() | frozenset():
            return str(sorted(map(_plain, value)))
    return str(type(value))
