"""Laws of the logit lens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from torch import Tensor

from retinoscope.engine import Recording, look
from retinoscope.errors import SelectionError
from retinoscope.lens import read_lens
from retinoscope.models import load


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder: Path = tiny.save(tmp_path_factory.mktemp("model"))
    pixels = np.random.default_rng(0).integers(0, 255, (70, 60, 3), dtype=np.uint8)
    return look(load(folder), Image.fromarray(pixels), "Is there a dog in this image ?")


def test_last_layer_is_the_models_answer(recording: Recording) -> None:
    last = recording.length - 1
    reading = read_lens(recording, [last], k=3, tracked=range(len(tiny.WORDS)))
    expected = recording.logits.log_softmax(-1)
    assert torch.allclose(reading.log_probability[:, -1, 0], expected, atol=1e-5)
    assert reading.ids[-1, 0].tolist() == recording.logits.topk(3).indices.tolist()


def test_every_layer_is_normed_once_and_unembedded(recording: Recording) -> None:
    positions = [0, 3, recording.length - 1]
    reading = read_lens(recording, positions, k=4, tracked=[5, 7])
    parts = recording.checkpoint.parts
    for place in range(recording.layer_count + 1):
        state = recording.residual(place)[positions]
        logits = parts.head(parts.decoder.norm(state))
        law = torch.distributions.Categorical(logits=logits)
        assert torch.equal(reading.ids[place], logits.topk(4).indices)
        assert torch.allclose(reading.entropy[place], law.entropy(), atol=1e-5)
        assert torch.allclose(reading.log_probability[:, place], law.logits[:, [5, 7]].T, atol=1e-5)
        order = logits.argsort(-1, descending=True)
        for row, token in enumerate([5, 7]):
            assert torch.equal(reading.rank[row, place], (order == token).int().argmax(-1))


def test_chunks_change_nothing(recording: Recording) -> None:
    positions = list(recording.encoded.layout.visual)
    whole = read_lens(recording, positions, tracked=[3])
    for chunk in (1, 2, 5, 1000):
        pieces = read_lens(recording, positions, tracked=[3], chunk=chunk)
        assert torch.equal(whole.ids, pieces.ids)
        assert torch.equal(whole.rank, pieces.rank)
        assert torch.allclose(whole.probabilities, pieces.probabilities, atol=1e-6)
        assert torch.allclose(whole.entropy, pieces.entropy, atol=1e-5)


def test_no_chunk_exceeds_the_bound(recording: Recording) -> None:
    seen: list[int] = []
    replay = recording.require_replay("This")

    def transform(logits: Tensor) -> Tensor:
        seen.append(len(logits))
        return replay.logit_transform(logits)

    counting = replace(recording, replay=replace(replay, logit_transform=transform))
    read_lens(counting, range(recording.length), chunk=7)
    assert max(seen) == 7
    assert sum(seen) == recording.length * (recording.layer_count + 1)


def test_shapes_without_tracked_tokens(recording: Recording) -> None:
    reading = read_lens(recording, [1, 2], k=2)
    layers = recording.layer_count + 1
    assert reading.ids.shape == reading.probabilities.shape == (layers, 2, 2)
    assert reading.log_probability.shape == reading.rank.shape == (0, layers, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"positions": []},
        {"positions": [10_000]},
        {"positions": [-1]},
        {"positions": [1], "k": 0},
        {"positions": [1], "k": 10_000},
        {"positions": [1], "tracked": [10_000]},
        {"positions": [1], "chunk": 0},
    ],
)
def test_what_cannot_be_read_is_refused(recording: Recording, wrong: dict) -> None:
    with pytest.raises(SelectionError):
        read_lens(recording, **wrong)


def test_norming_twice_changes_the_last_layer_alone(recording: Recording) -> None:
    positions, parts = [0, 3], recording.checkpoint.parts
    once = read_lens(recording, positions, tracked=[5])
    twice = read_lens(recording, positions, tracked=[5], norm_last_twice=True)
    assert torch.equal(once.log_probability[:, :-1], twice.log_probability[:, :-1])
    normed = parts.decoder.norm(recording.residual(recording.layer_count)[positions])
    expected = parts.head(parts.decoder.norm(normed)).log_softmax(-1)[:, 5]
    assert torch.allclose(twice.log_probability[0, -1], expected, atol=1e-5)
