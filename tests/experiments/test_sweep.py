"""A sweep knocks out every layer and head once, and measures what one knockout alone does."""

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
from retinoscope.experiments.knockout.measure import under_knockouts
from retinoscope.experiments.knockout.named import NamedKnockout
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
    knockouts, missing = sweep(recording, keys, ("layer", "head"))
    assert not missing
    layers, heads = range(tiny.LAYERS), range(-1, tiny.HEADS)
    assert [(one.layers[0], one.head) for one in knockouts] == [
        (i, h) for i in layers for h in heads
    ]
    assert all(len(one.layers) == 1 for one in knockouts)
    assert len({one.window for one in knockouts}) == len(knockouts)
    only = [sweep(recording, keys, (kind,))[0] for kind in ("layer", "head")]
    assert {one.window for one in knockouts} == {one.window for part in only for one in part}
    assert sweep(recording, keys, ()) == ([], [])


def test_cutting_every_head_of_a_layer_is_cutting_the_layer(recording: Recording) -> None:
    layout = recording.encoded.layout
    keys = at(layout, layout.visual[3:7])
    knockouts, _ = sweep(recording, keys, ("layer", "head"))
    heads = [
        tuple(one.intervention for one in knockouts if one.layers[0] == i and one.head >= 0)
        for i in range(tiny.LAYERS)
    ]
    whole = [(Knockout(last(layout), keys, [i]),) for i in range(tiny.LAYERS)]
    swept = [(one.intervention,) for one in knockouts if one.head < 0]
    logits = evaluate(recording, [*heads, *whole, *swept]).logits.unflatten(0, (3, tiny.LAYERS))
    assert torch.allclose(logits[0], logits[1], atol=1e-5)
    assert torch.allclose(logits[0], logits[2], atol=1e-5)
    assert not torch.allclose(logits[0], recording.logits, atol=1e-3)


def test_what_would_cost_a_pass_for_each_cut_is_left_out(recording: Recording) -> None:
    keys = at(recording.encoded.layout, recording.encoded.layout.visual[:1])
    knockouts, missing = sweep(
        replace(recording, replay=Unreplayable("it can't")), keys, ("layer", "head")
    )
    assert not knockouts
    assert "it can't" in missing[0][1]


def test_a_layer_whose_last_position_does_not_read_the_keys_is_named(recording: Recording) -> None:
    keys = at(recording.encoded.layout, recording.encoded.layout.visual[:2])
    layers = list(recording.layers)
    allowed = layers[1].allowed.clone()
    allowed[:, list(keys)] = False
    layers[1] = replace(layers[1], allowed=allowed)
    replay = replace(recording.require_replay("This"), layers=tuple(layers))
    knockouts, missing = sweep(replace(recording, replay=replay), keys, ("head",))
    assert {one.layers[0] for one in knockouts} == {0, 2, 3}
    assert [name for name, _ in missing] == ["layer 1"]


def test_a_cut_without_edges_does_not_cost_the_others(recording: Recording) -> None:
    """Also of a model that is run whole, which tells only afterwards."""
    layout = recording.encoded.layout
    here = at(layout, layout.visual[3:7])
    behind = at(layout, [recording.length - 1])
    knockouts = [
        NamedKnockout("a", "last position", "early", range(0, 2), here, last(layout)),
        NamedKnockout("b", "first position", "mid", range(1, 3), behind, at(layout, [1])),
        NamedKnockout("c", "last position", "late", range(2, 4), here, last(layout)),
    ]
    clean, found, idle = under_knockouts(recording, knockouts)
    assert [one.group for one, _ in found] == ["a", "c"]
    ((one, why),) = idle
    assert (one.name, "no edge" in why) == ("b -> first position, mid", True)
    torch.testing.assert_close(clean, recording.logits)
    for one, logits in found:
        torch.testing.assert_close(logits, evaluate(recording, [(one.intervention,)]).logits[0])
    whole = under_knockouts(replace(recording, replay=Unreplayable("it can't")), knockouts)
    torch.testing.assert_close(whole[0], clean, atol=1e-5, rtol=1e-4)
    assert [one for one, _ in whole[1]] == [one for one, _ in found]
    for (_, one), (_, other) in zip(found, whole[1], strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert [one for one, _ in whole[2]] == [one for one, _ in idle]


def test_an_unknown_sweep_is_refused(recording: Recording) -> None:
    keys = at(recording.encoded.layout, recording.encoded.layout.visual[:1])
    with pytest.raises(RunError, match="neuron"):
        sweep(recording, keys, ("neuron",))
