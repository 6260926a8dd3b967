"""What a tuned arm begins from, and what it is asked."""

from __future__ import annotations

import torch

from recipes.embedded.export import read_weights
from recipes.embedded.losses import looking_loss
from recipes.embedded.rows import BEFORE
from recipes.embedded.together import embedded_shape
from recipes.embedded.tune import begin, finish
from recipes.stack.shape import PATCHES
from retinoscope.shipped import embedded_folder


def test_an_arm_begins_as_the_embedded_model() -> None:
    weights = read_weights(embedded_folder())
    vocabulary = len(weights["decoder/lm_head.weight"])
    found = finish(begin(embedded_shape(vocabulary), weights))
    assert found.keys() == weights.keys()
    trained = [name for name in weights if "post_layernorm" not in name]
    assert all(torch.equal(found[name], weights[name].float()) for name in trained)


def test_a_look_is_the_share_of_attention_that_the_image_gets() -> None:
    length, keys = BEFORE + PATCHES + 5, torch.zeros(1, 2, BEFORE + PATCHES + 5, 4)
    at = torch.zeros(1, length, dtype=torch.bool)
    at[0, -1] = True
    open_to_all, blocked = torch.zeros(1, 1, length, length), torch.zeros(1, 1, length, length)
    blocked[..., BEFORE : BEFORE + PATCHES] = -1e4
    even = looking_loss(keys, keys, open_to_all, at)
    torch.testing.assert_close(even, torch.tensor(PATCHES / length))
    assert looking_loss(keys, keys, blocked, at) == 0
