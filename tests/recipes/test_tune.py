"""What a tuned arm begins from, and what it is asked."""

from __future__ import annotations

from pathlib import Path

import torch

from recipes.embedded.asking import COLOURED, KINDS
from recipes.embedded.export import read_weights
from recipes.embedded.loading import DevicePool
from recipes.embedded.losses import looking_loss
from recipes.embedded.pool import CHUNK, ROWS_OF_IMAGE, render_chunk, write_chunk
from recipes.embedded.rows import BEFORE
from recipes.embedded.text import vocabulary
from recipes.embedded.together import embedded_shape
from recipes.embedded.tune import Arm, begin, finish, mix, odds_of
from recipes.embedded.words import Words
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


def test_rows_are_drawn_by_their_questions_about_colours_and_never_with_things_erased(
    tmp_path: Path,
) -> None:
    scenes = 4
    write_chunk(tmp_path, 0, render_chunk(9, 0, scenes, "train", Words(vocabulary())))
    pool = DevicePool(tmp_path, CHUNK, torch.device("cpu"))
    pool.refresh(scenes)
    pool.close()
    rows = pool.take(torch.arange(scenes * len(ROWS_OF_IMAGE)))
    erased = torch.tensor([erased for erased, _ in ROWS_OF_IMAGE] * scenes)
    about = [
        sum(KINDS[k] in COLOURED for k in row if k < len(KINDS)) for row in rows.kinds.tolist()
    ]
    assert any(about)
    assert torch.equal(odds_of(pool, Arm()), (~erased).float())
    wanted = torch.where(erased, 0.0, 1 + 0.5 * torch.tensor(about))
    assert torch.equal(odds_of(pool, Arm(colours=0.5)), wanted)


def test_a_mix_is_a_mean_and_keeps_what_was_not_trained() -> None:
    before = {"tower": torch.tensor([0.3]).half(), "decoder": torch.tensor([1.0, -2.0]).half()}
    after = {"tower": before["tower"].float(), "decoder": torch.tensor([2.0, 2.0])}
    found = mix(before, after, 0.25)
    assert torch.equal(found["decoder"], torch.tensor([1.75, 1.0]))
    torch.testing.assert_close(found["tower"], after["tower"], rtol=2**-8, atol=0)
    assert torch.equal(mix(before, found, 0.0)["decoder"], found["decoder"])
