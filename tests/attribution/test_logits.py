"""Laws of direct logit attribution: shares add up, and say what each part wrote."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
import tiny
import torch
from PIL import Image
from torch import nn

import retinoscope as rs
from retinoscope.attribution import LogitAttribution, logit_attribution
from retinoscope.attribution.frozen_norm import frozen_norm
from retinoscope.engine import Recording, capture, record
from retinoscope.errors import InterventionError, ModelError, SelectionError
from retinoscope.interventions import Site, Write, as_site
from tests.engine import families

PLAIN = ("llava", "gemma3", "paligemma2", "aya_vision", "qwen3_vl", "mllama", "blip2", "lfm2_vl")
"""Norms before and behind sublayers, parallel layers, a logit scale and cap, DeepStack, gates,
layer norms with biases, convolutions."""


def recorded(name: str) -> Recording:
    return record(*families.build(name))


@pytest.mark.parametrize("name", PLAIN)
def test_shares_add_up_to_the_models_own_logit(name: str) -> None:
    recording = recorded(name)
    parts: Any = recording.checkpoint.parts
    norm = recording.require_replay("This").norm
    positions = [2, recording.length // 2, recording.length - 1]
    for layer in (0, 2, recording.layer_count):
        found = logit_attribution(recording, 7, positions, layer=layer)
        state = recording.stream[layer][positions]
        logits = parts.head(norm(state))
        expected = logits[:, 7] - logits.mean(-1)
        assert torch.allclose(found.logit, expected.double(), atol=1e-5)
        assert found.gap <= 1e-4 * max(1.0, float(found.logit.abs().max()))
        assert len(found.attention) == len(found.mlp) == layer
        assert {*found.heads, *found.headless} == {*range(layer)}
        for index, heads in found.heads.items():
            whole = heads.sum(0) + found.headless_bias[index]
            assert torch.allclose(whole, found.attention[index], atol=1e-5)


def test_every_plain_layer_shows_its_heads() -> None:
    for name in ("llava", "gemma3", "paligemma2", "aya_vision", "mllama", "blip2"):
        assert not logit_attribution(recorded(name), 7, [3]).headless, name
    found = logit_attribution(recorded("lfm2_vl"), 7, [3])
    assert len(found.headless) == 2
    gated = logit_attribution(recorded("qwen3_5"), 7, [3]).headless
    assert any("side by side" in reason for reason in gated.values())


def test_what_the_model_adds_between_layers_is_a_share_of_its_own() -> None:
    recording = recorded("qwen3_vl")
    visual = recording.layout.visual[0]
    found = logit_attribution(recording, 7, [visual, recording.length - 1])
    assert recording.additions
    added = {place - 1 for place in recording.additions}
    assert {i for i, row in enumerate(found.between) if float(row[0]) != 0.0} == added
    assert not found.between[:, 1].any()


def test_a_layer_that_scales_the_stream_is_refused() -> None:
    with pytest.raises(ModelError, match="scales the stream"):
        logit_attribution(recorded("gemma4"), 7, [3])


def test_a_model_whose_states_are_no_words_is_refused() -> None:
    with pytest.raises(ModelError, match="Logit attribution needs a model"):
        logit_attribution(recorded("gemma3n_text"), 7, [3])


class Silenced:
    """Nothing comes out of one sublayer, at one position."""

    def __init__(self, site: str, position: int) -> None:
        self.site, self.position = site, position

    def edits(self, context: object) -> tuple[Write, ...]:
        return (Write(as_site(self.site), (self.position,), torch.zeros_like),)


def test_a_silenced_part_has_no_share_and_its_own_share_is_what_is_missing() -> None:
    """In the last layer nothing reads what its MLP writes, so share and effect are one number."""
    recording = recorded("llava")
    last, layers = recording.length - 1, recording.layer_count
    clean = logit_attribution(recording, 7, [last])
    silenced = Silenced(f"mlp_out.{layers - 1}", last)
    found = logit_attribution(recording, 7, [last], (silenced,))
    assert float(found.mlp[-1]) == 0.0
    state = (
        recording.stream[-1][last]
        - capture(recording, f"mlp_out.{layers - 1}")[Site("mlp_out", layers - 1)][last]
    )
    norm = recording.require_replay("This").norm
    frozen = frozen_norm(norm, recording.stream[-1][[last]])
    parts: Any = recording.checkpoint.parts
    head = parts.head.weight.double()
    direction = head[7] - head.mean(0)
    without = (frozen.pulled(direction[None])[0] * state.double()).sum()
    assert torch.allclose(clean.logit[0] - clean.mlp[-1, 0], without + clean.bias[0], atol=1e-5)


def planted() -> Recording:
    """Of one layer the MLP alone writes, along one word's own direction."""
    checkpoint, encoded = families.build("llava")
    parts: Any = checkpoint.parts
    with torch.no_grad():
        for layer in parts.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        row = parts.head.weight[7]
        parts.layers[2].mlp.down_proj.weight[:, 0] = row
    return record(checkpoint, encoded)


def test_the_planted_writer_of_a_word_is_found() -> None:
    found = logit_attribution(planted(), 7, [4, 5])
    assert not found.attention.any()
    assert not found.mlp[[0, 1, 3]].any()
    assert (found.mlp[2].abs() > 0).all()
    assert torch.allclose(found.embedding + found.mlp[2] + found.bias, found.logit, atol=1e-5)


@pytest.mark.parametrize("width", [6, 7])
def test_a_norm_is_frozen_for_what_it_does(width: int) -> None:
    torch.manual_seed(0)
    states = torch.randn(5, width)
    direction = torch.randn(width).double()
    for norm in (nn.RMSNorm(width), nn.LayerNorm(width)):
        norm.weight.data.normal_()
        if isinstance(norm, nn.LayerNorm):
            norm.bias.data.normal_()
        frozen = frozen_norm(norm, states)
        assert frozen.centred is isinstance(norm, nn.LayerNorm)
        through = (frozen.pulled(direction[None]) * states.double()).sum(-1)
        expected = norm(states).double() @ direction
        assert torch.allclose(through + frozen.offset @ direction, expected, atol=1e-5)
    with pytest.raises(ModelError, match="neither an RMS norm nor a layer norm"):
        frozen_norm(nn.Softmax(-1), states)


def test_a_view_shares_out_a_word(tmp_path_factory: pytest.TempPathFactory) -> None:
    view = rs.load(tiny.save(tmp_path_factory.mktemp("model"))).look(
        Image.new("RGB", (56, 56), "red"), "What is in this image ?"
    )
    found = view.logit_attribution("dog", view.tokens)
    assert isinstance(found, LogitAttribution)
    frame = found.frame()
    parts = frame.filter(~frame["part"].is_in(["head", "headless bias"]))
    sums = parts.group_by("position", maintain_order=True).agg(pl.col("logit").sum())
    added = sums["logit"].to_list()
    assert added == pytest.approx(found.logit.tolist(), abs=1e-5)
    other = view.logit_attribution("dog", against="cat")
    logits = view.recording.logits
    ids = [view.recording.checkpoint.tokenizer.convert_tokens_to_ids(w) for w in ("dog", "cat")]
    assert float(other.logit[0]) == pytest.approx(float(logits[ids[0]] - logits[ids[1]]), abs=1e-4)
    with pytest.raises(SelectionError, match="no layer 9"):
        view.logit_attribution("dog", layer=9)
    with pytest.raises(SelectionError, match="vocabulary"):
        logit_attribution(view.recording, 10_000, [3])
    with pytest.raises(SelectionError, match="ascending"):
        logit_attribution(view.recording, 7, [3, 3])
    with pytest.raises(InterventionError):
        view.logit_attribution("dog", None, Silenced("mlp_out.9", 3))
