"""The mean visual token."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from retinoscope.engine import evaluate, look
from retinoscope.errors import InterventionError, ModelError
from retinoscope.interventions import Ablate
from retinoscope.models import MeanToken, load, mean_token, read_mean, write_mean
from retinoscope.models.mean_sums import (
    MeanSums,
    mean_and_error,
    read_sums,
    with_image,
    without_image,
    write_sums,
)
from retinoscope.models.visual_tokens import visual_tokens


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load(tiny.save(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def images():
    drawn = np.random.default_rng(0)
    return [Image.fromarray(drawn.integers(0, 256, (60, 60, 3), dtype=np.uint8)) for _ in range(3)]


def test_visual_tokens_are_what_the_first_layer_reads(checkpoint, images):
    recording = look(checkpoint, images[0], "Is there a dog in this image?")
    seen = recording.residual(0)[list(recording.encoded.layout.visual)]
    torch.testing.assert_close(visual_tokens(checkpoint, images[0]), seen)


def test_reading_tokens_leaves_no_hook_behind(checkpoint, images):
    visual_tokens(checkpoint, images[0])
    assert all(not m._forward_pre_hooks for m in checkpoint.model.modules())


def test_the_mean_is_over_all_tokens_of_all_images(checkpoint, images):
    mean = mean_token(checkpoint, images)
    every = torch.cat([visual_tokens(checkpoint, image) for image in images])
    torch.testing.assert_close(mean.value, every.mean(0))
    assert (mean.images, mean.tokens) == (3, len(every))
    per_image = torch.stack([visual_tokens(checkpoint, image).mean(0) for image in images])
    torch.testing.assert_close(mean.standard_error, per_image.std(0) / 3**0.5)


def test_a_mean_of_each_position_keeps_positions_apart(checkpoint, images):
    mean = mean_token(checkpoint, images, per_position=True)
    each = torch.stack([visual_tokens(checkpoint, image) for image in images])
    torch.testing.assert_close(mean.value, each.mean(0))
    torch.testing.assert_close(mean.standard_error, each.std(0) / 3**0.5)
    assert (mean.images, mean.tokens) == (3, each.shape[0] * each.shape[1])
    torch.testing.assert_close(mean.value.mean(0), mean_token(checkpoint, images).value)


def test_an_ablated_position_gets_its_own_mean(checkpoint, images):
    own = mean_token(checkpoint, images, per_position=True).value
    recording = look(replace(checkpoint, mean=own), images[0], "Is there a dog in this image?")
    visual = recording.encoded.layout.visual
    for chosen in ([3], [0, 7], list(range(len(own)))):
        positions = [visual[index] for index in chosen]
        outcome = evaluate(
            recording, [(Ablate(positions, "mean"),), (Ablate(positions, own[chosen]),)]
        )
        torch.testing.assert_close(outcome.logits[0], outcome.logits[1])


def test_a_mean_of_other_positions_is_refused(checkpoint, images):
    recording = look(replace(checkpoint, mean=torch.zeros(5, tiny.WIDTH)), images[0], "What is it?")
    with pytest.raises(InterventionError, match="of 5 positions"):
        evaluate(recording, [(Ablate(recording.encoded.layout.visual, "mean"),)])


def test_the_error_is_that_of_a_ratio_where_images_differ_in_size():
    """Checked against the variance of the ratio estimator as the textbook writes it."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.randn(n, 3, generator=generator) + 5 for n in (4, 9, 2, 16, 7)]
    sums = MeanSums()
    for vectors in images:
        sums = with_image(sums, vectors)
    mean, error = mean_and_error(sums)
    torch.testing.assert_close(mean, torch.cat(images).mean(0))
    counts = torch.tensor([float(len(vectors)) for vectors in images])
    residual = torch.stack([v.sum(0) - len(v) * mean for v in images])
    expected = (residual.square().sum(0) / 4 * 5).sqrt() / counts.sum()
    torch.testing.assert_close(error, expected)


def test_more_images_give_a_smaller_error_and_equal_ones_none():
    generator = torch.Generator().manual_seed(1)
    sums, errors = MeanSums(), []
    for _ in range(200):
        sums = with_image(sums, torch.randn(8, 4, generator=generator))
        errors.append(float(mean_and_error(sums)[1].mean()))
    # The root law: four times the images, half the error.
    assert errors[199] / errors[49] == pytest.approx(0.5, rel=0.15)
    same = MeanSums()
    for _ in range(3):
        same = with_image(same, torch.full((8, 4), 0.1))
    assert float(mean_and_error(same)[1].max()) < 1e-8


def test_sums_are_stored_to_the_bit(tmp_path):
    sums = with_image(MeanSums(), torch.randn(5, 3))
    sums = without_image(sums, "b.jpg: broken")
    write_sums(sums, tmp_path / "a" / "sums.safetensors")
    again = read_sums(tmp_path / "a" / "sums.safetensors")
    assert (again.place, again.images, again.skipped) == (2, 1, ("b.jpg: broken",))
    for name in ("total", "square", "cross"):
        assert np.array_equal(getattr(again, name), getattr(sums, name))
    assert read_sums(tmp_path / "none").place == 0
    (tmp_path / "broken").write_bytes(b"sums")
    with pytest.raises(ModelError, match="delete it"):
        read_sums(tmp_path / "broken")


def test_positions_of_another_number_are_refused():
    sums = with_image(MeanSums(), torch.zeros(4, 3), per_position=True)
    with pytest.raises(ModelError, match="first had 4, another has 6"):
        with_image(sums, torch.zeros(6, 3), per_position=True)


@pytest.mark.parametrize("per_position", [False, True])
def test_a_stored_mean_is_the_same(checkpoint, images, tmp_path, per_position):
    mean = mean_token(checkpoint, images, per_position=per_position)
    mean = replace(mean, skipped=("a.jpg: broken",))
    write_mean(mean, tmp_path / "means" / "mean.safetensors")
    again = read_mean(tmp_path / "means" / "mean.safetensors")
    assert isinstance(again, MeanToken)
    torch.testing.assert_close(again.value, mean.value, rtol=0, atol=0)
    assert (again.images, again.tokens, again.skipped) == (mean.images, mean.tokens, mean.skipped)
    assert not list((tmp_path / "means").glob("*.partial"))


def test_what_is_no_mean_is_refused(checkpoint, tmp_path):
    with pytest.raises(ModelError, match="at least one image"):
        mean_token(checkpoint, [])
    broken = tmp_path / "mean.safetensors"
    broken.write_bytes(b"not a tensor")
    for path in (broken, tmp_path / "missing.safetensors"):
        with pytest.raises(ModelError, match="can't be read"):
            read_mean(path)
    with pytest.raises(ModelError, match="can't be written"):
        write_mean(MeanToken(torch.zeros(2), torch.zeros(2), 1, 1), broken / "mean.safetensors")
