"""The stream under a condition is the stream of the model's own run with that condition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from retinoscope.engine import Recording, changed_stream, evaluate, look
from retinoscope.errors import InterventionError
from retinoscope.interventions import Ablate, Knockout, Steer
from retinoscope.lens import read_changed, read_lens
from retinoscope.models import load
from retinoscope.tokens import at, last


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder: Path = tiny.save(tmp_path_factory.mktemp("model"))
    pixels = np.random.default_rng(0).integers(0, 255, (70, 60, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    return look(load(folder), picture, "Is there a dog in this image ?", max_new_tokens=5)


def conditions(recording: Recording) -> dict:
    layout = recording.encoded.layout
    some = at(layout, layout.visual[4:8])
    knockout = Knockout(last(layout), some, [1, 2])
    direction = torch.linspace(-1, 1, tiny.WIDTH)
    return {
        "ablate": (Ablate(some, "zero"),),
        "knockout": (knockout,),
        "both": (Ablate(some, "zero"), knockout),
        "last place": (Steer(some, tiny.LAYERS, direction),),
    }


@pytest.mark.parametrize("name", ["ablate", "knockout", "both", "last place"])
def test_its_end_gives_the_logits_of_the_condition(recording: Recording, name: str) -> None:
    condition = conditions(recording)[name]
    stream = changed_stream(recording, condition)
    assert len(stream) == tiny.LAYERS + 1
    everywhere = range(recording.length)
    wanted = evaluate(recording, [condition], positions=everywhere).logits[0]
    assert torch.allclose(recording.unembed(stream[-1]), wanted, atol=1e-4)
    assert not torch.allclose(recording.residual(tiny.LAYERS), stream[-1], atol=1e-3)


def test_what_stands_before_the_first_change_is_as_it_was(recording: Recording) -> None:
    condition = conditions(recording)["ablate"]
    first = recording.encoded.layout.visual[4]
    for clean, changed in zip(recording.stream, changed_stream(recording, condition), strict=True):
        assert torch.allclose(clean[:first], changed[:first], atol=1e-5)
        assert not torch.allclose(clean[first], changed[first], atol=1e-3)
    assert not changed_stream(recording, condition)[0][first : first + 4].any()


def test_without_interventions_it_is_the_clean_reading(recording: Recording) -> None:
    positions = recording.encoded.layout.visual
    clean = read_lens(recording, positions, tracked=[3])
    same = read_changed(recording, (), positions, tracked=[3])
    assert torch.equal(clean.ids, same.ids)
    assert torch.equal(clean.log_probability, same.log_probability)
    other = read_changed(recording, conditions(recording)["ablate"], positions, tracked=[3])
    assert not torch.allclose(clean.log_probability, other.log_probability, atol=1e-3)


def test_the_model_is_left_as_it_was(recording: Recording) -> None:
    layers = recording.checkpoint.parts.layers
    before = [(len(layer._forward_hooks), len(layer._forward_pre_hooks)) for layer in layers]
    changed_stream(recording, conditions(recording)["both"])
    with pytest.raises(InterventionError):
        changed_stream(recording, (Ablate([10_000], "zero"),))
    after = [(len(layer._forward_hooks), len(layer._forward_pre_hooks)) for layer in layers]
    assert before == after
