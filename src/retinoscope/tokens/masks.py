"""Masks of an image's pixels, from whatever holds one."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Bool

from retinoscope.errors import SelectionError


def as_array(value: Any) -> np.ndarray:
    """An array, or a tensor of any device, as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.asarray(value)


def as_mask(given: Any) -> Bool[np.ndarray, "height width"]:
    """A mask of an image's pixels, True on the object.

    Args:
        given: boolean [height, width], also [1, height, width]; or numbers of two values of which
            one is 0 (0 and 1, 0 and 255).

    Raises:
        SelectionError: another shape, or more values: probabilities or labels, which need a
            threshold or a choice.
    """
    array = as_array(given)
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array.squeeze(0 if array.shape[0] == 1 else 2)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise SelectionError(
            f"A mask is [height, width] in the image's pixels, True on the object; got "
            f"{array.dtype}{list(array.shape)}."
        )
    if array.dtype != bool and not set(np.unique(array).tolist()) <= {0, array.max()}:
        raise SelectionError(
            f"A mask has two values, 0 and another one; got {array.dtype} from {array.min()} to "
            f"{array.max()}. Compare first: `labels == 3`, `probabilities > 0.5`."
        )
    return array.astype(bool)
