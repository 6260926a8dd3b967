"""Teach the decoder where to look: at what a question names, then at what it asks for.

"What is above the dog?" takes two steps, and answers alone hardly teach either: the decoder went
on guessing among the things that are there. So while it answers, half of the heads of one layer
are asked to look at the things that the question names, and half of those of a later layer at the
thing that it asks for. This is a design choice: that the model reads its answers there is trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recipes.embedded.batches import IGNORE, Batch
from recipes.embedded.pool import Pool
from recipes.embedded.text import Exchange
from recipes.embedded.things import owned
from retinoscope.data.scenes.classes import CLASSES
from retinoscope.data.scenes.language import Fact

NAMED_LAYER, ASKED_LAYER = 3, 5
HEADS = 3
BEFORE = 3
"""Tokens before the first visual token."""


def looked_for(
    pool: Pool,
    rows: Sequence[int] | np.ndarray,
    said: Sequence[Sequence[Fact]],
    asked: Sequence[Sequence[Exchange]],
    batch: Batch,
) -> tuple[Bool[Tensor, "n length 144"], Bool[Tensor, "n length 144"]]:
    """Where each position from the question mark on should look.

    Args:
        pool: the scenes.
        rows: which of them.
        said: the facts that the exchanges are about, some of those of each image.
        asked: the exchanges about each image.
        batch: the same, laid out.

    Returns:
        The patches of the things that the question names, and of the thing that it asks for;
        none for positions within a question, and for descriptions.
    """
    shape = (*batch.tokens.shape, pool.labels.shape[1])
    named, sought = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
    answering = _from_question_mark(batch)
    for image, (row, facts, exchanges) in enumerate(zip(rows, said, asked, strict=True)):
        patches = dict(zip(map(id, pool.facts[row]), owned(pool, row), strict=True))
        for number, exchange in enumerate(exchanges, 1):
            if exchange.kind == "describe":
                continue
            at = answering[image] & (batch.blocks[image] == number)
            words = set(exchange.question.rstrip("?").split())
            for index, fact in enumerate(facts):
                own = torch.from_numpy(patches[id(fact)])
                if words & {fact.name, CLASSES[fact.name].plural}:
                    named[image, at] |= own
                if index == exchange.subject:
                    sought[image, at] |= own
    return named, sought


def _from_question_mark(batch: Batch) -> Bool[Tensor, "n length"]:
    """Positions that predict a token of an answer, and the two before the first of them."""
    found = torch.zeros(batch.tokens.shape, dtype=torch.bool)
    for ahead in (1, 2, 3):
        found[:, :-ahead] |= batch.targets[:, ahead:] != IGNORE
    return found


def pointing_loss(
    attentions: Sequence[Float[Tensor, "n heads length length"]],
    named: Bool[Tensor, "n length 144"],
    sought: Bool[Tensor, "n length 144"],
) -> Float[Tensor, ""]:
    """How little the heads look where they should: minus the logarithm of the attention's share."""
    total = attentions[0].new_zeros((), dtype=torch.float32)
    for layer, wanted in ((NAMED_LAYER, named), (ASKED_LAYER, sought)):
        seen = attentions[layer][:, :HEADS, :, BEFORE : BEFORE + wanted.shape[-1]].float().mean(1)
        share = (seen * wanted).sum(-1)[wanted.any(-1)]
        total = total - (share + 1e-4).log().mean()
    return total
