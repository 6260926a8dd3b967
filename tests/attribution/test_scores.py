"""Laws of the token scores, and each computed again with plain hooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from torch import Tensor

from retinoscope.attribution import (
    ablation_effects,
    alti,
    attention_by_layer,
    attention_rollout,
    attention_sinks,
    attribution_patching,
    chefer_relevance,
    gradient_x_input,
    layers,
    raw_attention,
    value_zeroing,
)
from retinoscope.attribution.alti import contributions
from retinoscope.attribution.layers import states_of
from retinoscope.attribution.zeroing import zeroing_scores
from retinoscope.engine import Recording, evaluate, look, record
from retinoscope.errors import InterventionError, ModelError, SelectionError
from retinoscope.geometry import PatchGrid, Tile
from retinoscope.interventions import Ablate
from retinoscope.models import Checkpoint
from retinoscope.models.checkpoint import find_parts
from retinoscope.models.family import family_of
from retinoscope.tokens import TokenLayout, VisualSpan
from tests.attribution.plain import PlainRun
from tests.engine import families

RIGHT, WRONG = tiny.WORDS.index("Yes"), tiny.WORDS.index("No")
CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def difference(logits: Tensor) -> Tensor:
    return logits[RIGHT] - logits[WRONG]


def recorded(attention: str = "eager") -> Recording:
    model = tiny.model(attention=attention)
    checkpoint = Checkpoint(
        "tiny", "", {}, model, tiny.processor(), family_of("llava"), find_parts(model)
    )
    pixels = np.random.default_rng(2).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    return look(checkpoint, Image.fromarray(pixels), "What is in this image ?")


@pytest.fixture(scope="module")
def recording() -> Recording:
    return recorded()


@pytest.fixture(scope="module")
def plain(recording: Recording) -> PlainRun:
    return PlainRun(recording.checkpoint.model, recording.encoded.inputs, (RIGHT, WRONG))


def visual(recording: Recording, row: Tensor) -> Tensor:
    return row[list(recording.layout.visual)].float()


def test_raw_attention_is_the_mean_over_layers_heads_and_queries(
    recording: Recording, plain: PlainRun
) -> None:
    every = torch.stack(plain.attention).mean(1)
    torch.testing.assert_close(
        raw_attention(recording), visual(recording, every[:, -1].mean(0)), **CLOSE
    )
    two = [recording.length - 2, recording.length - 1]
    torch.testing.assert_close(
        raw_attention(recording, two), visual(recording, every[:, two].mean((0, 1))), **CLOSE
    )
    rows = attention_by_layer(recording)
    torch.testing.assert_close(rows.sum(-1), torch.ones(tiny.LAYERS), **CLOSE)


@pytest.mark.parametrize("residual", [0.0, 0.5, 1.0])
def test_rollout_at_any_share_of_the_residual(
    recording: Recording, plain: PlainRun, residual: float
) -> None:
    expected = visual(recording, plain.rollout(residual)[-1])
    found = attention_rollout(recording, residual=residual)
    torch.testing.assert_close(found, expected, **CLOSE)
    if residual == 1:
        assert not found.any()


def test_rollout_without_text_is_of_visual_tokens_and_the_last_position_alone(
    recording: Recording, plain: PlainRun
) -> None:
    text = [p for p in recording.layout.text if p != recording.length - 1]
    product = torch.eye(recording.length)
    for weights in plain.attention:
        kept = weights.mean(0).clone()
        kept[:, text] = 0
        total = kept.sum(-1)
        kept = torch.where(
            total[:, None] > 0, kept / total[:, None].clamp(min=1e-9), torch.eye(len(kept))
        )
        product = (0.5 * kept + 0.5 * torch.eye(len(kept))) @ product
    found = attention_rollout(recording, without=recording.layout.text)
    torch.testing.assert_close(found, visual(recording, product[-1]), **CLOSE)
    # Nothing went to text, so that all shares but the last position's own are there.
    torch.testing.assert_close(found.sum(), 1 - product[-1, -1], **CLOSE)


def test_rollout_in_another_order_is_another_product(recording: Recording, plain: PlainRun) -> None:
    order = [1, 3, 0, 2]
    product = torch.eye(recording.length)
    for layer in reversed(order):
        mixed = 0.5 * plain.attention[layer].mean(0) + 0.5 * torch.eye(recording.length)
        product = mixed @ product
    found = attention_rollout(recording, order=order)
    torch.testing.assert_close(found, visual(recording, product[-1]), **CLOSE)
    assert not torch.allclose(found, attention_rollout(recording), atol=1e-4)


def test_alti_is_the_product_of_contributions_that_add_up_to_one(
    recording: Recording, plain: PlainRun
) -> None:
    torch.testing.assert_close(alti(recording), visual(recording, plain.alti()[-1]), **CLOSE)
    for layer, states in states_of(recording, ["attn_probs", "attn_out", "attn_out_post"]):
        found = contributions(recording, layer, states)
        assert (found >= 0).all()
        assert not found.triu(1).any()
        torch.testing.assert_close(found.sum(-1), torch.ones(recording.length), **CLOSE)


def test_chefer_is_the_authors_recursion_and_never_below_zero(
    recording: Recording, plain: PlainRun
) -> None:
    found = chefer_relevance(recording, difference)
    torch.testing.assert_close(found, visual(recording, plain.chefer()[-1]), **CLOSE)
    assert (found >= 0).all()
    assert found.any()


def test_value_zeroing_is_a_run_for_each_value(recording: Recording, plain: PlainRun) -> None:
    inputs = recording.encoded.inputs
    expected = plain.zeroing(recording.checkpoint.model, dict(inputs))[-1]
    torch.testing.assert_close(value_zeroing(recording), visual(recording, expected), **CLOSE)
    rows = zeroing_scores(recording, 1)
    torch.testing.assert_close(rows.sum(-1), torch.ones(len(rows), dtype=torch.float64))


def test_value_zeroing_of_a_token_without_attention_is_zero(recording: Recording) -> None:
    (_, states), *_ = states_of(recording, ["attn_probs"], [0])
    weights, scores = states["attn_probs"].sum(1), zeroing_scores(recording, 0)
    assert (scores[weights == 0] == 0).all()
    assert (scores[weights > 0] > 0).all()


def test_first_order_scores_are_gradients(recording: Recording, plain: PlainRun) -> None:
    positions = list(recording.layout.visual)
    tokens, slope = plain.entered[0][0].detach()[positions], plain.at_input[positions]
    found = gradient_x_input(recording, difference)
    torch.testing.assert_close(found, (tokens * slope).sum(-1), **CLOSE)
    mean = tokens.mean(0)
    patched = attribution_patching(recording, difference, mean)
    torch.testing.assert_close(patched, ((tokens - mean) * slope).sum(-1), **CLOSE)


def test_attribution_patching_is_the_slope_of_the_effect(recording: Recording) -> None:
    """A hundredth of the way to the baseline and as far away from it, each token alone."""
    positions, step = list(recording.layout.visual), 0.01
    tokens = recording.residual(0)[positions]
    mean = tokens.mean(0)
    moved = [
        evaluate(
            recording,
            [
                (Ablate([at], token + way * step * (mean - token)),)
                for at, token in zip(positions, tokens, strict=True)
            ],
        ).logits
        for way in (-1, 1)
    ]
    away, near = (torch.stack([difference(one) for one in logits]) for logits in moved)
    expected = attribution_patching(recording, difference, mean)
    torch.testing.assert_close((away - near) / (2 * step), expected, atol=1e-3, rtol=1e-2)


def test_effects_are_differences_of_whole_runs(recording: Recording) -> None:
    found = ablation_effects(recording, RIGHT, "zero")
    for index, position in enumerate(recording.layout.visual[:3]):
        logits = evaluate(recording, [(Ablate([position], "zero"),)]).logits[0]
        lost = recording.logits[RIGHT] - logits[RIGHT]
        assert float(found[index]) == pytest.approx(float(lost), abs=1e-6)


def test_scores_do_not_depend_on_how_many_layers_a_pass_takes(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores: list[Callable[[], Tensor]] = [
        lambda: attention_rollout(recording),
        lambda: alti(recording),
        lambda: chefer_relevance(recording, difference),
    ]
    before = [score() for score in scores]
    monkeypatch.setattr(layers, "PASS", 1)
    for score, expected in zip(scores, before, strict=True):
        torch.testing.assert_close(score(), expected, atol=1e-6, rtol=1e-5)


def test_a_sink_is_what_everybody_looks_at(recording: Recording) -> None:
    every = torch.stack(attention_rows(recording))
    assert attention_sinks(recording, deviations=100.0) == ()
    found = attention_sinks(recording, deviations=1.0)
    assert found
    others = [p for p in range(recording.length - 1) if p not in found]
    assert every[:, list(found)].mean() > every[:, others].mean()


def attention_rows(recording: Recording) -> list[Tensor]:
    return [states["attn_probs"].mean((0, 1)) for _, states in states_of(recording, ["attn_probs"])]


@pytest.mark.parametrize("name", ["gemma3", "gemma4", "qwen3_vl", "paligemma", "qwen2_5_vl"])
def test_scores_hold_their_laws_in_every_kind_of_model(name: str) -> None:
    """Groups of heads, shared keys, post-norms, prefixes that read ahead, deep stacks."""
    checkpoint, encoded = families.build(name)
    if not encoded.layout.visual:
        span = VisualSpan((3, 4, 5, 6), PatchGrid((4, 1), (Tile(1, 4, (0, 0, 4, 1)),)))
        encoded = replace(encoded, layout=TokenLayout(encoded.layout.length, (span,)))
    recording = record(checkpoint, encoded)
    shares = [attention_rollout(recording), alti(recording), value_zeroing(recording)]
    for found in shares:
        assert (found >= 0).all()
        assert 0 < found.sum() <= 1 + 1e-5
    assert (chefer_relevance(recording, 7) >= 0).all()
    assert torch.isfinite(gradient_x_input(recording, 7)).all()


def test_what_cannot_be_scored_is_refused(recording: Recording) -> None:
    with pytest.raises(SelectionError, match="vocabulary"):
        gradient_x_input(recording, 10_000)
    with pytest.raises(SelectionError, match="vocabulary"):
        ablation_effects(recording, -1, "zero")
    with pytest.raises(InterventionError, match="mean visual token"):
        attribution_patching(recording, RIGHT)
    with pytest.raises(InterventionError, match="shape"):
        attribution_patching(recording, RIGHT, torch.zeros(3))
    with pytest.raises(InterventionError, match="0 to 1"):
        attention_rollout(recording, residual=2)
    other = record(*families.build("lfm2_vl"))
    for score in (alti, value_zeroing, raw_attention):
        with pytest.raises(ModelError, match="layer 2"):
            score(other)
