"""Write weights as small files: 16 bits each, the bytes of exponents apart, which compress well."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Precision = Literal["bfloat16", "float16"]


def keep_bits(weight: Tensor, bits: int) -> Tensor:
    """Round weights to so many significant bits, the leading one counted, as small files need."""
    dropped = 24 - bits
    number = weight.detach().float().contiguous().view(torch.int32)
    # Adding half of the last kept place carries into the exponent where it must.
    kept = (number + (1 << (dropped - 1))) & -(1 << dropped)
    return kept.view(torch.float32)


def pack(weights: dict[str, Tensor], precision: Precision, target: Path) -> int:
    """Write weights; return the file's size in bytes.

    Args:
        weights: by name.
        precision: "bfloat16" or "float16".
        target: an .npz file, written beside its place and renamed.
    """
    arrays = {}
    for name, weight in weights.items():
        rounded = weight.detach().to(getattr(torch, precision)).cpu().contiguous()
        bits = rounded.view(torch.int16).numpy().view(np.uint16)
        # The sign goes last, so that the first byte holds the exponent.
        turned = (bits << 1) | (bits >> 15)
        arrays[f"{name}|{precision}|high"] = (turned >> 8).astype(np.uint8)
        arrays[f"{name}|{precision}|low"] = (turned & 255).astype(np.uint8)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    partial.replace(target)
    return target.stat().st_size


def unpack(file: Path) -> dict[str, Tensor]:
    """Read weights in the precision they were written in."""
    found = {}
    with np.load(file) as arrays:
        for key in arrays.files:
            name, precision, half = key.rsplit("|", 2)
            if half == "low":
                continue
            high = arrays[key].astype(np.uint16)
            turned = (high << 8) | arrays[f"{name}|{precision}|low"].astype(np.uint16)
            bits = (turned >> 1) | ((turned & 1) << 15)
            whole = torch.from_numpy(bits.view(np.int16).copy())
            found[name] = whole.view(getattr(torch, precision))
    return found
