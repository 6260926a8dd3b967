"""Laws of attention rollout."""

from __future__ import annotations

import numpy as np
import tiny
import torch
from PIL import Image

from retinoscope.attribution import attention_rollout
from retinoscope.engine import Recording, look
from retinoscope.models import Checkpoint
from retinoscope.models.checkpoint import find_parts
from retinoscope.models.family import family_of


def recorded(attention: str) -> Recording:
    torch.manual_seed(0)
    model = tiny.model(attention=attention)
    checkpoint = Checkpoint(
        "tiny", "", {}, model, tiny.processor(), family_of("llava"), find_parts(model)
    )
    pixels = np.random.default_rng(2).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    return look(checkpoint, Image.fromarray(pixels), "What is in this image ?")


def test_rollout_is_the_product_of_mixed_attention() -> None:
    recording = recorded("eager")
    model, encoded = recording.checkpoint.model, recording.encoded
    with torch.no_grad():
        attentions = model(**encoded.inputs, output_attentions=True).attentions
    product = torch.eye(recording.length)
    for weights in attentions:
        mixed = 0.5 * weights[0].mean(0) + 0.5 * torch.eye(recording.length)
        product = (mixed / mixed.sum(-1, keepdim=True)) @ product
    expected = product[-1, list(encoded.layout.visual)]
    assert torch.allclose(attention_rollout(recording), expected, atol=1e-6)


def test_rollout_does_not_depend_on_the_back_end() -> None:
    assert torch.allclose(
        attention_rollout(recorded("sdpa")), attention_rollout(recorded("eager")), atol=1e-6
    )


def test_rollout_is_a_share() -> None:
    shares = attention_rollout(recorded("sdpa"))
    assert (shares > 0).all()
    assert shares.sum() < 1
