"""Whether two results agree but for rounding, and what was found of a model once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from retinoscope.models import Checkpoint


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
    # Picking out what is not masked takes longer than all the rest, and mostly nothing is.
    if masked.any():
        found, expected = found[~masked], expected[~masked]
    got, wanted = found.float(), expected.float()
    if not wanted.numel():
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


@dataclass(frozen=True)
class Verdict:
    """An answer about one model.

    Attributes:
        length: the longest sequence on which it was asked.
        reason: what is wrong, None where nothing is.
    """

    length: int
    reason: str | None


def once(
    checkpoint: Checkpoint, name: str, length: int, ask: Callable[[], str | None]
) -> str | None:
    """Ask on the first sequence, and again on each that is longer than all before it.

    Sliding windows, chunks and a model's own choice of keys begin at some length: what holds on a
    short prompt need not hold on a long one. A model that failed once is not asked again. Another
    attention back end is asked for itself.

    Args:
        checkpoint: the model asked about, which remembers the answer.
        name: of the question.
        length: of the sequence at hand, filler included.
        ask: says what is wrong, None where nothing is.
    """
    key = (name, str(checkpoint.model.get_decoder().config._attn_implementation))
    last: Verdict | None = checkpoint.found.get(key)
    if last is None or (last.reason is None and last.length < length):
        checkpoint.found[key] = last = Verdict(length, ask())
    return last.reason
