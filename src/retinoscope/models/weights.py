"""Whether a model's weights are whole: each one there, of its shape, and finite.

transformers fills what a checkpoint lacks with random numbers and passes over what it has too
much, with a warning; here either is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils.import_utils import is_accelerate_available

from retinoscope.errors import ModelError

NAMED = 5
"""How many weights an error names."""

BLOCK = 2**24
"""Numbers of a type without minimum and maximum (8 bits) that are looked at together."""


def check_whole(name: str, found: Mapping[str, Any]) -> None:
    """Make sure that a checkpoint had the model's weights, all of them and no others.

    Tied weights that are stored once are whole, and so is what transformers knows to leave out
    of a model class (buffers that are computed, heads of another use).

    Args:
        name: how an error calls the model.
        found: what `from_pretrained` tells with `output_loading_info`: "missing_keys",
            "unexpected_keys" and "mismatched_keys" (name, stored shape, the model's shape).

    Raises:
        ModelError: a weight is missing, has another shape, or is none of the model's.
    """
    wrong: list[str] = []
    if missing := sorted(found["missing_keys"]):
        wrong.append(f"it lacks {named(missing)}")
    if other := sorted(found["mismatched_keys"]):
        shapes = [f"{key} ({list(there)}, expected {list(here)})" for key, there, here in other]
        wrong.append(f"of another shape: {named(shapes)}")
    if unexpected := sorted(found["unexpected_keys"]):
        wrong.append(f"the model has no place for {named(unexpected)}")
    if wrong:
        raise ModelError(
            f"The weights of {name} are not those of the model that its config.json describes: "
            f"{'; '.join(wrong)}. Fetch the checkpoint again, or mend its config.json (such as the "
            "number of layers)."
        )


def check_finite(name: str, model: nn.Module) -> None:
    """Make sure that every stored number is finite, those that are offloaded among them.

    One weight is looked at at a time, without a copy (in blocks where its type has 8 bits), as
    fast as memory is read. Integers of a quantised model are passed over; their scales are not.

    Raises:
        ModelError: a weight holds NaN or infinity, or no values at all.
    """
    wrong: list[str] = []
    for key, tensor in stored(model):
        if not isinstance(tensor, Tensor):
            continue
        if tensor.is_meta:
            wrong.append(f"{key} (no values)")
        elif not _finite(tensor):
            wrong.append(key)
    if wrong:
        raise ModelError(
            f"The weights of {name} hold NaN or infinity in {named(wrong)}. Fetch the checkpoint "
            "again; where a dtype was asked for, take one that can hold its values (bfloat16 or "
            "float32)."
        )


def stored(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Every weight and stored buffer, one that is offloaded for as long as it is looked at."""
    for prefix, module in model.named_modules():
        with _brought(module):
            kept: dict[str, Any] = {}
            # What the module itself stores, in no copy; quantised layers add their scales.
            module._save_to_state_dict(kept, f"{prefix}." if prefix else "", keep_vars=False)
            yield from kept.items()


def _brought(module: nn.Module) -> AbstractContextManager[None]:
    """The module's offloaded weights brought to the CPU, where accelerate offloaded any."""
    if not is_accelerate_available():
        return nullcontext()
    from accelerate.utils import align_module_device, has_offloaded_params

    if not has_offloaded_params(module):
        return nullcontext()
    return align_module_device(module, torch.device("cpu"))


def _finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    if tensor.element_size() == 1:
        return all(_finite(block.bfloat16()) for block in tensor.flatten().split(BLOCK))
    # The least and the largest are NaN where any number is.
    return bool(torch.stack(tensor.aminmax()).isfinite().all())


def named(keys: Iterable[str]) -> str:
    """The first few keys, and how many there are besides."""
    listed = list(keys)
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return f"{', '.join(listed[:NAMED])}{more}"
