"""Memory by device: the tightest that holds layers sets what a pass may take."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from retinoscope.models import memory
from retinoscope.models.memory import DEVICE_MEMORY, KEPT_MEMORY, kept_memory, pass_memory
from tests.models import tiny_families

CPU, ONE, TWO = torch.device("cpu"), torch.device("cuda:0"), torch.device("cuda:1")
GIB = 2**30


@pytest.fixture
def checkpoint():
    return tiny_families.PLACED["llava"]()


def given(monkeypatch: pytest.MonkeyPatch, layers: dict, free: dict | None = None) -> None:
    monkeypatch.setattr(memory, "layers_by_device", lambda _: layers)
    monkeypatch.setattr(memory, "free_bytes", (free or {}).__getitem__)


def test_a_pass_has_the_room_of_the_tightest_device(checkpoint, monkeypatch):
    assert pass_memory(checkpoint) == memory.CPU_MEMORY
    given(monkeypatch, {ONE: 16, TWO: 16}, {ONE: 40 * GIB, TWO: 30 * GIB})
    assert pass_memory(checkpoint) == DEVICE_MEMORY
    for free in ({ONE: 40 * GIB, TWO: GIB}, {ONE: GIB, TWO: 40 * GIB}):
        given(monkeypatch, {ONE: 16, TWO: 16}, free)
        assert pass_memory(checkpoint) == GIB // 2
    given(monkeypatch, {ONE: 16, CPU: 16}, {ONE: 40 * GIB})
    assert pass_memory(checkpoint) == memory.CPU_MEMORY


def test_each_device_keeps_what_its_own_layers_need(checkpoint, monkeypatch):
    assert kept_memory(checkpoint) == KEPT_MEMORY
    given(monkeypatch, {ONE: 32}, {ONE: 40 * GIB})
    assert kept_memory(checkpoint) == 10 * GIB
    # Twice as much of everything, where two devices hold half of the layers each.
    given(monkeypatch, {ONE: 16, TWO: 16}, {ONE: 40 * GIB, TWO: 40 * GIB})
    assert kept_memory(checkpoint) == 20 * GIB
    # A quarter of 8 GiB for three quarters of the layers, whatever the other device has.
    given(monkeypatch, {ONE: 8, TWO: 24}, {ONE: 80 * GIB, TWO: 8 * GIB})
    assert kept_memory(checkpoint) == 2 * GIB * 32 // 24


def test_layers_are_counted_where_they_lie(checkpoint):
    count = checkpoint.layer_count
    assert memory.layers_by_device(checkpoint) == {CPU: count}
    meta = nn.ModuleList(layer.to("meta") for layer in checkpoint.parts.layers)
    offloaded = replace(checkpoint, parts=replace(checkpoint.parts, layers=meta))
    assert memory.layers_by_device(offloaded) == {CPU: count}


def test_passes_are_halved_until_they_fit():
    tried: list[int] = []

    def run(some):
        tried.append(len(some))
        if len(some) > 2:
            raise torch.OutOfMemoryError("no room")
        return sum(some)

    done = memory.in_passes(range(7), 5, run)
    assert [item for some, _ in done for item in some] == list(range(7))
    assert sum(total for _, total in done) == 21
    assert tried == [5, 2, 2, 2, 1]
    with pytest.raises(torch.OutOfMemoryError):
        memory.in_passes(range(3), 3, lambda _: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
