"""The mean visual token."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from retinoscope.engine import look
from retinoscope.errors import ModelError
from retinoscope.models import MeanToken, load, mean_token, read_mean, write_mean
from retinoscope.models.mean import visual_tokens


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


def test_a_stored_mean_is_the_same(checkpoint, images, tmp_path):
    mean = mean_token(checkpoint, images)
    write_mean(mean, tmp_path / "means" / "mean.safetensors")
    again = read_mean(tmp_path / "means" / "mean.safetensors")
    assert isinstance(again, MeanToken)
    torch.testing.assert_close(again.value, mean.value, rtol=0, atol=0)
    assert (again.images, again.tokens) == (mean.images, mean.tokens)
    assert not list((tmp_path / "means").glob("*.partial"))


def test_what_is_no_mean_is_refused(checkpoint, tmp_path):
    with pytest.raises(ModelError, match="at least one image"):
        mean_token(checkpoint, [])
    broken = tmp_path / "mean.safetensors"
    broken.write_bytes(b"not a tensor")
    for path in (broken, tmp_path / "missing.safetensors"):
        with pytest.raises(ModelError, match="holds no mean"):
            read_mean(path)
