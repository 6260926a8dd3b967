"""A sweep cuts every layer and head once, and what it measures is what one cut alone does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from retinoscope.engine import Recording, Unreplayable, evaluate, look
from retinoscope.errors import RunError
from retinoscope.experiments.knockout.cut import Cut
from retinoscope.experiments.knockout.measure import under_cuts
from retinoscope.experiments.knockout.sweep import sweep
from retinoscope.interventions import Knockout
from retinoscope.models import load
from retinoscope.tokens import at, last


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder: Path = tiny.save(tmp_path_factory.mktemp("model"))
    pixels = np.random.default_rng(0).integers(0, 255, (70, 60, 3), dtype=np.uint8)
    return look(load(folder), Image.fromarray(pixels), "Is there a dog in this image ?")


def test_every_layer_and_head_is_cut_once(recording: Recording) -> None:
    keys = at(recording.encoded.layout, recording.encoded.layout.visual[3:7])
    cuts, missing = sweep(recording, keys, ("layer", "head"))
    assert not missing
    layers, heads = range(tiny.LAYERS), range(-1, tiny.HEADS)
    assert [(cut.layers[0], cut.head) for cut in cuts] == [(i, h) for i in layers for h in heads]
    assert all(len(cut.layers) == 1 for cut in cuts)
    assert len({cut.window for cut in cuts}) == len(cuts)
    only = [sweep(recording, keys, (kind,))[0] for kind in ("layer", "head")]
    assert {cut.window for cut in cuts} == {cut.window for part in only for cut in part}
    assert sweep(recording, keys, ()) == ([], [])


def test_cutting_every_head_of_a_layer_is_cutting_the_layer(recording: Recording) -> None:
    layout = recording.encoded.layout
    keys = at(layout, layout.visual[3:7])
    cuts, _ = sweep(recording, keys, ("layer", "head"))
    heads = [
        tuple(cut.knockout for cut in cuts if cut.layers[0] == i and cut.head >= 0)
        for i in range(tiny.LAYERS)
    ]
    whole = [(Knockout(last(layout), keys, [i]),) for i in range(tiny.LAYERS)]
    swept = [(cut.knockout,) for cut in cuts if cut.head < 0]
    logits = evaluate(recording, [*heads, *whole, *swept]).logits.unflatten(0, (3, tiny.LAYERS))
    assert torch.allclose(logits[0], logits[1], atol=1e-5)
    assert torch.allclose(logits[0], logits[2], atol=1e-5)
    assert not torch.allclose(logits[0], recording.logits, atol=1e-3)


def test_what_would_cost_a_pass_for_each_cut_is_left_out(recording: Recording) -> None:
    keys = at(recording.encoded.layout, recording.encoded.layout.visual[:1])
    cuts, missing = sweep(
        replace(recording, replay=Unreplayable("it can't")), keys, ("layer", "head")
    )
    assert not cuts
    assert "it can't" in missing[0][1]


def test_a_layer_whose_last_position_does_not_read_the_keys_is_named(recording: Recording) -> None:
    keys = at(recording.encoded.layout, recording.encoded.layout.visual[:2])
    layers = list(recording.layers)
    allowed = layers[1].allowed.clone()
    allowed[:, list(keys)] = False
    layers[1] = replace(layers[1], allowed=allowed)
    replay = replace(recording.require_replay("This"), layers=tuple(layers))
    cuts, missing = sweep(replace(recording, replay=replay), keys, ("head",))
    assert {cut.layers[0] for cut in cuts} == {0, 2, 3}
    assert [name for name, _ in missing] == ["layer 1"]


def test_a_cut_without_edges_does_not_cost_the_others(recording: Recording) -> None:
    """Also of a model that is run whole, which tells only afterwards."""
    layout = recording.encoded.layout
    here = at(layout, layout.visual[3:7])
    behind = at(layout, [recording.length - 1])
    cuts = [
        Cut("a", "last position", "early", range(0, 2), here, last(layout)),
        Cut("b", "first position", "mid", range(1, 3), behind, at(layout, [1])),
        Cut("c", "last position", "late", range(2, 4), here, last(layout)),
    ]
    clean, found, idle = under_cuts(recording, cuts)
    assert [cut.group for cut, _ in found] == ["a", "c"]
    ((cut, why),) = idle
    assert (cut.name, "no edge" in why) == ("b -> first position, mid", True)
    torch.testing.assert_close(clean, recording.logits)
    for cut, logits in found:
        torch.testing.assert_close(logits, evaluate(recording, [(cut.knockout,)]).logits[0])
    whole = under_cuts(replace(recording, replay=Unreplayable("it can't")), cuts)
    torch.testing.assert_close(whole[0], clean, atol=1e-5, rtol=1e-4)
    assert [cut for cut, _ in whole[1]] == [cut for cut, _ in found]
    for (_, one), (_, other) in zip(found, whole[1], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert [cut for cut, _ in whole[2]] == [cut for cut, _ in idle]


def test_an_unknown_sweep_is_refused(recording: Recording) -> None:
    keys = at(recording.encoded.layout, recording.encoded.layout.visual[:1])
    with pytest.raises(RunError, match="neuron"):
        sweep(recording, keys, ("neuron",))
