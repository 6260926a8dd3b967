"""Conditions outside: the model itself under a view's hooks gives what the engine gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from retinoscope.engine import capture, evaluate, generate, record
from retinoscope.engine.outside import on_model, transformer_lens_hooks
from retinoscope.engine.recording.recording import Recording
from retinoscope.errors import InterventionError, ModelError
from retinoscope.interventions import (
    Ablate,
    Condition,
    Knockout,
    PathPatch,
    Site,
    SitePatch,
    Source,
    Steer,
)
from tests.engine import families
from tests.engine.conditions import conditions

NAMES = [
    "llava",
    "gemma3",
    "qwen2_vl",
    "aya_vision",
    "idefics3",
    "paligemma",
    "mllama",
    "florence2",
]
GENERATING = ["llava", "qwen2_vl", "idefics3", "mllama"]
SITES = ["z", "query", "key", "value", "attn_probs", "attn_out", "resid_mid", "mlp_out"]


def recorded(name: str, max_new_tokens: int = 0) -> Recording:
    return record(*families.build(name), max_new_tokens=max_new_tokens)


def state_of(model: Any) -> list[Any]:
    """Every module's hooks and the name of its attention back end."""
    return [
        (
            list(module._forward_hooks),
            list(module._forward_pre_hooks),
            type(getattr(getattr(module, "config", None), "_attn_implementation", None)),
        )
        for module in model.modules()
    ]


@torch.no_grad()
@pytest.mark.parametrize("name", NAMES)
def test_a_plain_call_gives_what_the_engine_gives(name: str) -> None:
    recording = recorded(name)
    model, inputs = recording.checkpoint.model, recording.encoded.inputs
    clean = model(**inputs).logits[0, -1]
    before = state_of(model)
    for kind, given in conditions(recording).items():
        for one, expected in zip(given, evaluate(recording, given).logits, strict=True):
            with on_model(recording, one) as changed:
                assert changed is model
                found = model(**inputs, use_cache=False).logits[0, -1]
            assert torch.allclose(found, expected, atol=1e-4), kind
            assert not torch.allclose(found, clean, atol=1e-3), kind
    assert state_of(model) == before
    assert torch.equal(model(**inputs).logits[0, -1], clean)


class Path:
    """Keys and values of its own, in the place of a layer's."""

    def __init__(self, recording: Recording, layer: int, positions: list[int]) -> None:
        cache = capture(recording, ["key", "value"], layers=layer, positions=positions)
        states = [cache[name, layer].transpose(0, 1) for name in ("key", "value")]
        self.positions = tuple(positions)
        self.held = Source(*(3 * state.flip(1) for state in states))

    def source(self, layer: int) -> Source:
        return self.held


def within(recording: Recording) -> list[Condition]:
    """Writes at every site inside a layer, and a patched path."""
    last, seen = recording.length - 1, [3, 4]
    given: list[Condition] = [
        (SitePatch(seen, site, torch.rand(len(seen), *recording.state_shape(site))),)
        for site in (Site(name, 1) for name in SITES)
        if recording.has(site)
    ]
    return [*given, (PathPatch([last], seen, [1], Path(recording, 1, seen)),)]


@torch.no_grad()
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("name", GENERATING)
def test_generate_gives_the_engines_tokens(name: str, cached: bool) -> None:
    """With a cache a pass has generated positions alone, and goes on reading what was written."""
    recording = recorded(name, 6)
    model, inputs = recording.checkpoint.model, recording.encoded.inputs
    kinds = conditions(recording)
    given = [*kinds["last position"], *kinds["heads"], *kinds["ablation"], *kinds["mixed"]]
    if name in ("llava", "qwen2_vl"):
        given += within(recording)
    asked = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "use_cache": cached}
    for one, expected in zip(given, generate(recording, given), strict=True):
        with on_model(recording, one):
            found = model.generate(**inputs, **asked)[0].tolist()
        tokens = list(expected.tokens)
        assert found[recording.length :][: len(tokens)] == tokens, one


@torch.no_grad()
def test_every_row_of_a_batch_is_changed() -> None:
    recording = recorded("llava")
    inputs = {name: torch.cat([value] * 3) for name, value in recording.encoded.inputs.items()}
    ids = recording.encoded.layout.visual[:4]
    one = (Ablate(ids, "zero"), Knockout([recording.length - 1], ids, [1]))
    with on_model(recording, one) as model:
        found = model(**inputs).logits[:, -1]
        beams = model.generate(
            **recording.encoded.inputs, num_beams=3, max_new_tokens=3, pad_token_id=0
        )
    assert beams.shape[0] == 1
    expected = evaluate(recording, [one]).logits.expand_as(found)
    assert torch.allclose(found, expected, atol=1e-4)


@torch.no_grad()
def test_what_would_go_astray_is_refused() -> None:
    recording = recorded("llava")
    model, inputs = recording.checkpoint.model, recording.encoded.inputs
    one = (Ablate([3, 4], "zero"),)
    other = {**inputs, "input_ids": inputs["input_ids"].clone()}
    other["input_ids"][0, -1] += 1
    with pytest.raises(InterventionError, match="another prompt"), on_model(recording, one):
        model(**other)
    with pytest.raises(InterventionError, match="did not run"), on_model(recording, one):
        pass
    short = {"input_ids": inputs["input_ids"][:, -3:]}
    with pytest.raises(InterventionError, match="3 of the prompt"), on_model(recording, one):
        model(**short)
    asked = [
        lambda: record(recording.checkpoint, recording.encoded),
        lambda: evaluate(recording, [one]),
        lambda: on_model(recording, one).__enter__(),
    ]
    for ask in asked:
        with pytest.raises(ModelError, match="in force on this model"), on_model(recording, one):
            ask()
    assert not any(module._forward_pre_hooks for module in recording.checkpoint.parts.layers)


@torch.no_grad()
def test_a_cache_that_has_dropped_keys_is_refused() -> None:
    """A sliding window's cache forgets keys, so that a knockout would hit others."""
    recording = recorded("gemma3")
    model, inputs = recording.checkpoint.model, recording.encoded.inputs
    last = recording.length - 1
    knockout = (Knockout([last], [last - 1], range(recording.layer_count)),)
    asked = {"max_new_tokens": 3, "do_sample": False, "pad_token_id": 0}
    with pytest.raises(InterventionError, match="use_cache=False"), on_model(recording, knockout):
        model.generate(**inputs, **asked)
    with on_model(recording, knockout):
        assert len(model.generate(**inputs, **asked, use_cache=False)[0]) > recording.length


@torch.no_grad()
@pytest.mark.parametrize("name", ["llava", "qwen2_vl"])
def test_hooks_of_transformer_lens_do_what_the_condition_does(name: str) -> None:
    """Each function at its hook name, on the state that stands there in a clean run."""
    recording = recorded(name)
    last, seen = recording.length - 1, list(recording.layout.visual)[:4]
    knockout = Knockout([last], seen, [1], heads=[0, 2])
    patch = SitePatch(seen, "z.1", torch.rand(4, *recording.state_shape(Site("z", 1))))
    steer = Steer([last], 1, torch.ones(recording.stream[0].shape[-1]))
    hooks = dict(transformer_lens_hooks(recording, (patch, steer, knockout)))
    names = {"resid_pre": "resid_pre", "z": "z", "scores": "attn_scores"}
    sites = {key: Site(site, 1) for key, site in names.items()}
    cache = capture(recording, [*sites.values()])
    clean = {key: torch.stack([cache[site]] * 2) for key, site in sites.items()}
    assert list(hooks) == [
        "blocks.1.attn.hook_z",
        "blocks.1.hook_resid_pre",
        "blocks.1.attn.hook_attn_scores",
    ]
    written: Tensor = hooks["blocks.1.attn.hook_z"](clean["z"], hook=None)
    assert torch.equal(written[:, seen], patch.value.expand_as(written[:, seen]))
    rest = [p for p in range(recording.length) if p not in seen]
    assert torch.equal(written[:, rest], clean["z"][:, rest])
    moved = hooks["blocks.1.hook_resid_pre"](clean["resid_pre"], hook=None) - clean["resid_pre"]
    assert torch.allclose(moved[:, last], torch.ones_like(moved[:, last]))
    assert not moved[:, :last].any()
    scores = clean["scores"].transpose(1, 2)
    cut = hooks["blocks.1.attn.hook_attn_scores"](scores, hook=None) != scores
    expected = torch.zeros_like(cut)
    expected[:, [[0], [2]], last, seen] = True
    assert torch.equal(cut, expected)


def test_what_transformer_lens_can_not_express_is_refused() -> None:
    recording = recorded("llava")
    last, seen = recording.length - 1, [3, 4]
    path = PathPatch([last], seen, [1], Path(recording, 1, seen))
    with pytest.raises(InterventionError, match="patched from another run"):
        transformer_lens_hooks(recording, (path,))
    width = recording.stream[0].shape[-1]
    embeddings = SitePatch(seen, "embeddings", torch.zeros(2, width))
    with pytest.raises(InterventionError, match="no hook at the site embeddings"):
        transformer_lens_hooks(recording, (embeddings,))
    middle = SitePatch(seen, "resid_mid.1", torch.zeros(2, width))
    with pytest.raises(InterventionError, match="reaches the MLP alone"):
        transformer_lens_hooks(recording, (middle,))
    ((_, hook),) = transformer_lens_hooks(recording, (Ablate(seen, "zero"),))
    with pytest.raises(InterventionError, match="use_past_kv_cache=False"):
        hook(torch.zeros(1, 1, width), hook=None)
    with pytest.raises(InterventionError, match=r"holds \[8\] at each position"):
        hook(torch.zeros(1, recording.length, 8), hook=None)
