"""Models that are trained side by side are models of their own."""

from __future__ import annotations

import torch

from recipes.stack.connector import Connector
from recipes.stack.decoder import Decoder
from recipes.stack.shape import Shape

SHAPE = Shape(8, 2, 1, 16, 2, 16, 12)


def test_seeds_draw_other_weights_and_one_seed_the_same() -> None:
    for stack in (Decoder(SHAPE, [0, 1, 0]), Connector(SHAPE, [0, 1, 0], "queries", [False] * 3)):
        for name, weights in stack.named_parameters():
            assert torch.equal(weights[0], weights[2]), name
            if weights.std():  # norms begin as ones, biases as zeros
                assert not torch.allclose(weights[0], weights[1]), name
