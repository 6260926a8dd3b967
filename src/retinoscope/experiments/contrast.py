"""Contrast: two next tokens whose logits' difference says how far an answer holds.

Probabilities saturate: with the answer at 99.9 % nothing that a condition does to it can be seen
(arXiv 2309.16042). The difference of two logits does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.errors import SampleError


@dataclass(frozen=True)
class Contrast:
    """The right next token and the best wrong one, both chosen on the clean run.

    Frozen for the item, so that every condition is measured on the same two logits.

    Attributes:
        right: id of the right token; the likeliest one where several are.
        wrong: id of the likeliest token that is none of the right ones.
    """

    right: int
    wrong: int

    def difference(self, logits: Float[Tensor, "*conditions vocabulary"]) -> Tensor:
        """The right logit less the wrong one, [*conditions]; above 0 the right one is ahead."""
        logits = logits.float()
        return logits[..., self.right] - logits[..., self.wrong]


def contrast(
    logits: Float[Tensor, " vocabulary"], right: Sequence[int], wrong: Sequence[int] = ()
) -> Contrast:
    """Choose the contrast of an item from its clean run.

    Args:
        logits: of the clean run's next token.
        right: ids of the tokens that are right, at least one.
        wrong: ids to choose the wrong one from, such as the other choices' first tokens; without
            any, every token that is not right.

    Raises:
        SampleError: no right token is given, or none is left to be wrong.
    """
    if not right:
        raise SampleError("There is no right token to contrast; leave this item out.")
    others = torch.ones(len(logits), dtype=torch.bool)
    if wrong:
        others = torch.zeros(len(logits), dtype=torch.bool)
        others[list(wrong)] = True
    others[list(right)] = False
    if not others.any():
        raise SampleError(f"Every wrong token of {list(wrong)} is right as well; leave it out.")
    logits = logits.float().cpu()
    best = max(right, key=lambda token: float(logits[token]))
    return Contrast(best, int(logits.masked_fill(~others, -torch.inf).argmax()))
