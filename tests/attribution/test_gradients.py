"""Laws of integrated gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from retinoscope.attribution import gradients, integrated_gradients
from retinoscope.engine import Recording, look
from retinoscope.engine.replay.replay import run_suffix
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.models import load
from retinoscope.tokens import TokenLayout


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    pixels = np.random.default_rng(1).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    torch.manual_seed(0)
    checkpoint = load(tiny.save(tmp_path_factory.mktemp("model")))
    return look(checkpoint, Image.fromarray(pixels), "Is there a dog in this image ?")


def logits_of(recording: Recording, visual: torch.Tensor) -> torch.Tensor:
    """The whole model's last logits with other visual tokens, by a plain hook."""
    parts, encoded = recording.checkpoint.parts, recording.encoded

    def swap(_: object, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        hidden = args[0].clone()
        hidden[0, list(encoded.layout.visual)] = visual
        return (hidden, *args[1:])

    hook = parts.layers[0].register_forward_pre_hook(swap)
    try:
        return recording.checkpoint.model(**encoded.inputs, use_cache=False).logits[0, -1]
    finally:
        hook.remove()


def plain_gradients(
    recording: Recording, token: int, nodes: int, baseline: torch.Tensor
) -> torch.Tensor:
    """The textbook sum over midpoints, one full forward each."""
    clean = recording.residual(0)[list(recording.encoded.layout.visual)]
    total = torch.zeros(len(clean))
    for index in range(nodes):
        tokens = (baseline + (clean - baseline) * (index + 0.5) / nodes).requires_grad_()
        logits_of(recording, tokens)[token].backward()
        assert tokens.grad is not None
        total += (tokens.grad * (clean - baseline)).sum(-1) / nodes
    return total


def test_scores_add_up_to_the_difference(recording: Recording) -> None:
    for target in ("logit", "log-probability"):
        found = integrated_gradients(recording, 7, target=target, tolerance=1e-3, most=512)
        visual = torch.zeros_like(recording.residual(0)[list(recording.encoded.layout.visual)])
        with torch.no_grad():
            empty = logits_of(recording, visual)
        pair = torch.stack([recording.logits, empty])
        scores = (pair if target == "logit" else pair.log_softmax(-1))[:, 7]
        assert found.converged
        assert found.difference == pytest.approx(float(scores[0] - scores[1]), abs=1e-4)
        assert found.gap <= 1e-3 * abs(found.difference)
        assert float(found.score.sum()) == pytest.approx(found.difference, rel=2e-3)


def test_scores_agree_with_the_textbook(recording: Recording) -> None:
    mean = recording.residual(0)[list(recording.encoded.layout.visual)].mean(0)
    found = integrated_gradients(recording, 9, tolerance=1e-4, baseline=mean)
    expected = plain_gradients(recording, 9, 100, mean)
    assert found.converged
    assert torch.allclose(found.score, expected, atol=2e-3 * float(expected.abs().max()))


def test_points_go_where_the_score_bends(recording: Recording) -> None:
    """From zero, the first norm turns the whole way within a sliver of the path."""
    found = integrated_gradients(recording, 9)
    clean = recording.residual(0)[list(recording.encoded.layout.visual)]
    even = plain_gradients(recording, 9, found.nodes, torch.zeros_like(clean))
    assert found.converged
    assert found.gap < 0.1 * abs(float(even.sum()) - found.difference)


def test_a_stricter_tolerance_takes_more_points_for_a_smaller_gap(recording: Recording) -> None:
    rough, fine = (integrated_gradients(recording, 9, tolerance=t) for t in (0.1, 0.001))
    assert rough.nodes < fine.nodes
    assert rough.gap > fine.gap


def test_passes_of_any_size_agree(recording: Recording) -> None:
    one = integrated_gradients(recording, 9, most=9, chunk=1)
    many = integrated_gradients(recording, 9, most=9, chunk=8)
    assert torch.allclose(one.score, many.score, atol=1e-5)
    assert one.nodes == many.nodes == 9


def test_passes_are_halved_where_memory_runs_out(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = integrated_gradients(recording, 9, most=9)
    sizes: list[int] = []

    def short(run: Recording, suffix: torch.Tensor, start: int, wanted: list[int]) -> torch.Tensor:
        sizes.append(len(suffix))
        if len(suffix) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return run_suffix(run, suffix, start, wanted)

    monkeypatch.setattr(gradients, "run_suffix", short)
    found = integrated_gradients(recording, 9, most=9, chunk=8)
    assert sizes[:3] == [5, 2, 2]
    torch.testing.assert_close(found.score, expected.score)
    monkeypatch.setattr(gradients, "run_suffix", lambda run, *_: short(run, torch.zeros(3), 0, []))
    with pytest.raises(torch.OutOfMemoryError):
        integrated_gradients(recording, 9, most=9)


def test_a_mean_of_each_position_is_where_each_begins(recording: Recording) -> None:
    visual = recording.encoded.layout.visual
    each = torch.randn(len(visual), recording.residual(0).shape[-1])
    known = replace(recording, checkpoint=replace(recording.checkpoint, mean=each))
    found = integrated_gradients(known, 9, most=9)
    given = integrated_gradients(recording, 9, most=9, baseline=each)
    assert torch.equal(found.score, given.score)


def test_the_path_begins_at_the_known_mean(recording: Recording) -> None:
    mean = recording.residual(0)[list(recording.encoded.layout.visual)].mean(0)
    known = replace(recording, checkpoint=replace(recording.checkpoint, mean=mean))
    implied = integrated_gradients(known, 9, most=9)
    said = integrated_gradients(recording, 9, most=9, baseline=mean)
    assert torch.equal(implied.score, said.score)


def test_a_token_equal_to_its_baseline_scores_nothing(recording: Recording) -> None:
    baseline = torch.zeros_like(recording.residual(0)[list(recording.encoded.layout.visual)])
    baseline[2] = recording.residual(0)[recording.encoded.layout.visual[2]]
    found = integrated_gradients(recording, 9, most=5, baseline=baseline)
    assert found.score[2] == 0
    assert found.score.count_nonzero() == len(baseline) - 1


def test_any_tokens_can_travel_the_path(recording: Recording) -> None:
    visual = recording.encoded.layout.visual
    longer = (*visual, visual[-1] + 1)
    all_visual = integrated_gradients(recording, 9, most=5, positions=visual)
    assert torch.equal(all_visual.score, integrated_gradients(recording, 9, most=5).score)
    # A text token that stays where it is travels no path: nothing changes for the others.
    baseline = torch.zeros(len(longer), recording.residual(0).shape[-1])
    baseline[-1] = recording.residual(0)[longer[-1]]
    found = integrated_gradients(recording, 9, most=5, positions=longer, baseline=baseline)
    assert found.positions == longer
    assert found.score[-1] == 0
    assert torch.allclose(found.score[:-1], all_visual.score, atol=1e-5)


def test_magnitudes_add_up_without_signs(recording: Recording) -> None:
    found = integrated_gradients(recording, 9, most=5)
    assert (found.magnitude >= found.score.abs() - 1e-6).all()
    assert not torch.allclose(found.magnitude, found.score.abs())


def test_a_gap_that_stays_is_reported(recording: Recording) -> None:
    found = integrated_gradients(recording, 9, tolerance=1e-9, most=8)
    assert not found.converged
    assert found.nodes == 7
    assert found.gap > 1e-9 * abs(found.difference)


def test_no_gradient_is_left_behind(recording: Recording) -> None:
    integrated_gradients(recording, 9, most=5)
    assert all(parameter.grad is None for parameter in recording.checkpoint.model.parameters())
    assert not recording.residual(0).requires_grad


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"token": 10_000}, SelectionError),
        ({"token": 3, "most": 4}, InterventionError),
        ({"token": 3, "tolerance": 0.0}, InterventionError),
        ({"token": 3, "chunk": 0}, InterventionError),
        ({"token": 3, "baseline": torch.zeros(3)}, InterventionError),
        ({"token": 3, "positions": [4, 3]}, SelectionError),
        ({"token": 3, "positions": [10_000]}, SelectionError),
    ],
)
def test_what_has_no_meaning_is_refused(recording: Recording, wrong: dict, error: type) -> None:
    with pytest.raises(error):
        integrated_gradients(recording, **wrong)


def test_a_prompt_without_image_is_refused(recording: Recording) -> None:
    blind = replace(recording.encoded, layout=TokenLayout(recording.length, ()))
    with pytest.raises(SelectionError, match="no visual token"):
        integrated_gradients(replace(recording, encoded=blind), 3)
