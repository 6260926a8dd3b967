"""Where a model goes."""

from __future__ import annotations

import pytest
import torch

from retinoscope.errors import ModelError
from retinoscope.models import place as places
from retinoscope.models.place import CPU, best_device, moved, place


@pytest.mark.parametrize(
    ("cuda", "mps", "wanted"),
    [(True, True, "cuda:0"), (True, False, "cuda:0"), (False, True, "mps"), (False, False, "cpu")],
)
def test_a_gpu_is_taken_where_there_is_one(monkeypatch, cuda, mps, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert str(best_device()) == wanted
    assert place(None, None) == torch.device(wanted)
    assert place("cpu", None) == CPU


def test_a_map_of_one_device_is_that_device_and_needs_no_accelerate(monkeypatch):
    monkeypatch.setattr(places, "is_accelerate_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for one in ("cuda:1", {"": "cuda:1"}, {"": 1}):
        assert place(None, one) == torch.device("cuda:1")
    for several in ("auto", {"model.vision_tower": "cpu", "lm_head": "cuda:0"}):
        with pytest.raises(ModelError, match=r"retinoscope\[hub\]"):
            place(None, several)


@pytest.mark.parametrize(
    ("device", "device_map", "message"),
    [
        ("cuda:7", None, "no device 'cuda:7' here; there is 1 of cpu"),
        ("meta", None, "no device"),
        ("magic", None, "'magic' is not a device"),
        ("auto", None, "'auto' is not a device"),
        (None, "magic", "balanced"),
        ("cpu", "auto", "Both"),
    ],
)
def test_a_place_that_is_none_is_refused(monkeypatch, device, device_map, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ModelError, match=message):
        place(device, device_map)


def test_a_model_that_does_not_fit_is_told_of(monkeypatch):
    model = torch.nn.Linear(3, 3)

    def full(device: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "to", full)
    with pytest.raises(ModelError, match="does not fit on cuda:0"):
        moved("mine", model, torch.device("cuda:0"))
