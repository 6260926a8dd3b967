"""Whether two results differ by more than rounding explains."""

from __future__ import annotations

import torch
from torch import Tensor


def gap(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of how far the expected values spread around their mean.

    Values that are masked out (minus infinity, or the most negative number of the dtype) say
    nothing of the scale: both must have them in the same places, else the gap is infinite.

    Args:
        found: of any shape and floating type.
        expected: of the same shape.
    """
    expected = expected.to(found.dtype)
    masked = is_masked(expected)
    if not torch.equal(masked, is_masked(found)):
        return float("inf")
    got, wanted = found[~masked].float(), expected[~masked].float()
    if not len(wanted):
        return 0.0
    error = float((got - wanted).abs().max())
    spread = float((wanted - wanted.mean()).abs().max())
    # Values that are all alike still carry the rounding of their size.
    least = 4 * torch.finfo(found.dtype).eps * float(wanted.abs().max())
    return 0.0 if error == 0 else error / max(spread, least, torch.finfo(torch.float32).tiny)


def disagreement(found: Tensor, expected: Tensor) -> float | None:
    """The gap of two results, where it is more than rounding explains; else None.

    Allowed is a ten-thousandth in float32, where sums are taken in another order, and a twentieth
    in half precision.

    Args:
        found: of any shape, in the precision of the model.
        expected: of the same shape.
    """
    share = 1e-4 if found.dtype == torch.float32 else 5e-2
    error = gap(found, expected)
    return None if error <= share else error


def is_masked(values: Tensor) -> Tensor:
    """True where a value stands for minus infinity."""
    return values <= torch.finfo(values.dtype).min / 2
