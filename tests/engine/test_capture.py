"""The activation cache: lazy, sized, at any positions, under conditions; and paths between runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from torch import Tensor, nn

from retinoscope.api import VLM, View
from retinoscope.engine import evaluate, record, states
from retinoscope.engine.states import full_states, replayed_states
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions import Ablate, Condition, Knockout, PathPatch, Site, Steer, resolve
from retinoscope.models import load
from tests.engine import families
from tests.engine.conditions import attention_layers


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    folder: Path = tiny.save(tmp_path_factory.mktemp("model"))
    pixels = np.random.default_rng(0).integers(0, 255, (70, 60, 3), dtype=np.uint8)
    return VLM(load(folder)).look(
        Image.fromarray(pixels), "Is there a dog in this image ?", max_new_tokens=4
    )


def layer_runs(view: View) -> list[int]:
    """The layers that run from now on."""
    seen: list[int] = []
    for index, layer in enumerate(view.recording.checkpoint.parts.layers):
        layer.register_forward_pre_hook(lambda *_, index=index: seen.append(index))
    return seen


def test_states_are_computed_when_they_are_asked_for(view: View) -> None:
    every = list(range(tiny.LAYERS))
    view.capture(["attn_out.0", "final_norm"]).load()  # their kinds are proved
    seen = layer_runs(view)
    cache = view.capture(["attn_out", "resid_post.1", "final_norm"])
    assert len(cache) == tiny.LAYERS + 2
    assert str(cache.sites[0]) == "attn_out.0"
    assert torch.equal(cache["resid_post.1"], view.recording.stream[2])
    assert not seen, "the clean stream is recorded"
    first = cache["attn_out.2"]
    assert cache["blocks.2.attn.hook_out"] is first
    assert seen == [2], "a clean state takes its layer alone"
    cache.load()
    cache.load()
    assert sorted(seen) == every
    held = sum(state.numel() * state.element_size() for state in cache.values())
    assert cache.nbytes == held
    stacked = cache.stack("attn_out")
    assert stacked.shape == (tiny.LAYERS, view.recording.length, tiny.WIDTH)
    assert "attn_out.2" in cache
    assert "attn_out.99" not in cache
    with pytest.raises(KeyError):
        cache["mlp_out.0"]
    assert len(repr(cache)) < 200


def test_a_cache_is_asked_as_that_of_transformer_lens(view: View) -> None:
    cache = view.capture(["attn_probs", "z", "resid_post", "attn_out_post"], Ablate([5], "zero"))
    assert cache["pattern", 2] is cache["blocks.2.attn.hook_pattern"] is cache["attn_probs.2"]
    assert cache["resid_post", -1] is cache[f"resid_post.{tiny.LAYERS - 1}"]
    assert ("z", -1) in cache and ("z", tiny.LAYERS) not in cache
    with pytest.raises(InterventionError):
        cache["z", -tiny.LAYERS - 1]
    given, length = cache.to_transformer_lens(), view.recording.length
    assert len(given) == 4 * tiny.LAYERS
    pattern = given["blocks.2.attn.hook_pattern"]
    assert pattern.shape == (1, tiny.HEADS, length, length)
    assert torch.equal(pattern[0], view.attention(2, None, Ablate([5], "zero")))
    assert torch.equal(given["blocks.1.hook_attn_out"][0], cache["attn_out_post", 1])
    assert torch.equal(given["blocks.1.hook_resid_post"][0], cache["resid_post", 1])


def test_positions_are_cut_and_conditions_in_force(view: View) -> None:
    some = view.tokens.at(5, 6)
    clean = view.capture("mlp_out", layers=[1], positions=some)
    assert clean["mlp_out.1"].shape == (2, tiny.WIDTH)
    whole = view.capture("mlp_out", layers=[1])["mlp_out.1"]
    assert torch.allclose(clean["mlp_out.1"], whole[[5, 6]], atol=1e-6)
    changed = view.capture("mlp_out", Ablate(some, "zero"), layers=[1])["mlp_out.1"]
    assert torch.allclose(changed[:5], whole[:5], atol=1e-6)
    assert not torch.allclose(changed[5:], whole[5:], atol=1e-4)


def test_a_condition_is_replayed_as_far_as_it_is_asked_for(view: View) -> None:
    late = Ablate([view.recording.length - 2], "zero")
    view.capture("mlp_out.1", late)["mlp_out.1"]  # the kind is proved
    seen = layer_runs(view)
    view.capture("mlp_out.1", late)["mlp_out.1"]
    assert seen == [0, 1, 1], "the cone up to the layer, and the layer for what comes before"
    del seen[:]
    view.capture("mlp_out.1", late, positions=view.last)["mlp_out.1"]
    assert seen == [0, 1]


@pytest.mark.parametrize("name", ["llava", "gemma3", "mllama", "lfm2_vl", "qwen3_vl", "paligemma2"])
def test_replayed_states_are_those_of_the_full_forward(name: str) -> None:
    recording = record(*families.build(name))
    last = recording.length - 1
    every = [site for site in recording.sites.taps if recording.has(site)]
    causal = [site for site in every if site.name != "attn_scores"]
    cut = Knockout([last], [last - 1], [attention_layers(recording)[-1]])
    written = Steer([last - 2], 1, torch.ones(recording.state_shape(Site("resid_pre", 0))))
    given: list[tuple[Condition, list[Site]]] = [
        ((), every),
        ((Ablate([last - 4], "zero"),), causal),
        ((written, cut), causal),
    ]
    for condition, sites in given:
        edits = resolve(condition, recording)
        with torch.no_grad():
            found = replayed_states(recording, sites, edits, range(recording.length))
            expected = full_states(recording, sites, edits, range(recording.length))
        for site in sites:
            torch.testing.assert_close(
                found[site], expected[site], atol=1e-5, rtol=1e-5, msg=f"{site} {condition}"
            )


def test_scores_of_keys_that_are_not_read_are_those_of_the_full_forward(view: View) -> None:
    given = view.capture("attn_scores", layers=[2])  # clean ones are proved first
    assert given["attn_scores.2"].shape[0] == view.recording.length
    ablated = Ablate([view.recording.length - 2], "zero")
    found = view.capture("attn_scores.2", ablated)["attn_scores.2"]
    edits = resolve((ablated,), view.recording)
    site, every = Site("attn_scores", 2), range(view.recording.length)
    with torch.no_grad():
        expected = full_states(view.recording, [site], edits, every)[site]
    assert torch.equal(found, expected)


def test_a_kind_of_site_that_replays_wrongly_is_taken_from_the_full_forward(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = states.replayed_states

    def wrong(*given: Any) -> dict[Site, Tensor]:
        return {site: 2 * state for site, state in plain(*given).items()}

    monkeypatch.setattr(states, "replayed_states", wrong)
    site, every = Site("mlp_in", 1), range(view.recording.length)
    with torch.no_grad():
        expected = states.full_states(view.recording, [site], (), every)[site]
    assert torch.equal(view.capture(site)[site], expected)


def test_attention_adds_up_and_shows_a_knockout(view: View) -> None:
    every = view.attention(1)
    assert torch.equal(view.attention(1, 2), every[2])
    assert torch.allclose(every.sum(-1), torch.ones(every.shape[:2]), atol=1e-5)
    assert not every.triu(1).any()
    cut = view.attention(1, 2, Knockout(view.last, [5, 6], [1], heads=[2]))
    assert not cut[-1, [5, 6]].any()
    assert torch.allclose(cut[:-1], every[2, :-1], atol=1e-6)
    with pytest.raises(InterventionError, match="no head"):
        view.attention(1, 99)


def test_a_gradient_is_the_slope_that_steering_finds(view: View) -> None:
    token = int(view.recording.logits.argmax())
    found = view.gradient(token, "resid_pre.1", positions=[6])[Site("resid_pre", 1)][0]
    step = 1e-2 * found / found.norm()
    up, down = evaluate(
        view.recording, [(Steer([6], 1, step),), (Steer([6], 1, step, scale=-1.0),)]
    ).logits[:, token]
    assert float(up - down) == pytest.approx(2e-2 * float(found.norm()), rel=1e-2)
    assert not found.requires_grad
    under = view.gradient(token, "z.2", Ablate([6], "zero"))[Site("z", 2)]
    assert not torch.allclose(under, view.gradient(token, "z.2")[Site("z", 2)], atol=1e-6)
    with pytest.raises(SelectionError):
        view.gradient(10**6, "z.2")
    with pytest.raises(InterventionError, match="one number"):
        view.gradient(lambda logits: logits, "z.2")
    with pytest.raises(InterventionError, match="one number"):
        view.gradient(lambda logits: torch.tensor(1.0), "z.2")


def test_a_patched_path_reads_the_other_run_and_nothing_else(view: View) -> None:
    keys, layers = [5, 6], [1, 2]
    same = view.capture(["key", "value"], layers=layers, positions=keys)
    other = view.capture(["key", "value"], Ablate([3, 4], "zero"), layers=layers, positions=keys)
    given = [
        (PathPatch(view.last, keys, layers, same),),
        (PathPatch(view.last, keys, layers, other),),
        (PathPatch(view.last, keys, layers, other, heads=[0]),),
    ]
    none, all_heads, one_head = view.evaluate(given).logits
    assert torch.allclose(none, view.recording.logits, atol=1e-5)
    assert not torch.allclose(all_heads, none, atol=1e-5)
    assert not torch.allclose(all_heads, one_head, atol=1e-5)
    assert view.answers(given)[0] == view.answer()
    with pytest.raises(InterventionError, match="source at 2 positions"):
        view.evaluate([(PathPatch(view.last, [5], layers, same),)])
    with pytest.raises(KeyError):
        view.evaluate([(PathPatch(view.last, keys, [0], same),)])


def test_sites_are_listed_and_others_refused(view: View) -> None:
    assert "attn_probs" in str(view.sites)
    assert len(str(view.sites)) < 1000
    for site in ("attn_out.99", "nothing.1"):
        with pytest.raises(InterventionError):
            view.capture(site)


def test_a_function_that_breaks_a_state_is_refused(view: View) -> None:
    from retinoscope.interventions import Context, Edits, Write

    class Broken:
        def __init__(self, change: object) -> None:
            self.change = change

        def edits(self, context: Context) -> Edits:
            """A write at one site."""
            return (Write(Site("z", 1), (5,), self.change),)

    for change, message in (
        (lambda state: state[..., :1], "same shape"),
        (lambda state: state / 0, "finite"),
        (lambda state: None, "same shape"),
    ):
        with pytest.raises(InterventionError, match=message):
            view.evaluate([(Broken(change),)])


def test_modules_are_left_as_they_were(view: View) -> None:
    modules: list[nn.Module] = list(view.recording.checkpoint.model.modules())

    def hooks() -> list[int]:
        return [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules]

    before, weights = hooks(), [p.grad for p in view.recording.checkpoint.model.parameters()]
    view.capture(["z", "mlp_act", "resid_mid"]).load()
    view.gradient(3, ["z", "resid_mid"])
    state: Tensor = view.recording.logits
    assert hooks() == before
    assert all(grad is None for grad in weights)
    assert not state.requires_grad
