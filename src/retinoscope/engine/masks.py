"""Which position may read which, in every layer, as one run showed it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from retinoscope.engine.attention import as_allowed
from retinoscope.engine.watch import SeenLayer


def recorded_masks(seen: Sequence[SeenLayer]) -> list[Bool[Tensor, "recorded keys"]]:
    """One mask for each layer; layers that share a mask share the tensor."""
    found: dict[tuple[int, int, bool], Tensor] = {}
    masks: list[Tensor] = []
    for layer in seen:
        attended = layer.attended[0] if layer.attended else None
        keys = attended.keys.shape[-2] if attended else layer.entered.shape[-2]
        causal = attended is None or (attended.causal and not attended.crossing)
        key = (id(attended.mask) if attended else id(None), keys, causal)
        if key not in found:
            found[key] = _mask(layer)
        masks.append(found[key])
    return masks


def reads_ahead(layer: SeenLayer, length: int) -> bool:
    """Whether positions of the prompt read what stands behind the prompt."""
    if not layer.attended or layer.attended[0].crossing:
        return False
    return bool(_mask(layer)[:length, length:].any())


def _mask(layer: SeenLayer) -> Bool[Tensor, "queries keys"]:
    """No mask means plain causal attention, or reading all there is."""
    count, device = layer.entered.shape[-2], layer.entered.device
    attended = layer.attended[0] if layer.attended else None
    if attended is not None and attended.mask is not None:
        allowed = as_allowed(attended.mask)
        return allowed.reshape(-1, *allowed.shape[-2:])[0]
    keys = attended.keys.shape[-2] if attended is not None else count
    every = torch.ones(count, keys, dtype=torch.bool, device=device)
    causal = attended is None or (attended.causal and not attended.crossing)
    return every.tril() if causal else every
