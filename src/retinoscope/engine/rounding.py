"""Whether two results differ by more than rounding explains."""

from __future__ import annotations

import torch
from torch import Tensor


def disagreement(found: Tensor, expected: Tensor) -> float | None:
    """The largest difference, where it is more than rounding explains; else None.

    Allowed is a share of the largest expected value (at least 1): a thousandth in float32, where
    sums are taken in another order, and a twentieth in half precision.

    Args:
        found: of any shape.
        expected: of the same shape.
    """
    share = 1e-3 if found.dtype == torch.float32 else 5e-2
    error = float((found.float() - expected.float()).abs().max())
    largest = float(expected.float().abs().max())
    return None if error <= share * max(1.0, largest) else error
