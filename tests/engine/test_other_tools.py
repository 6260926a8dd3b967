"""What is captured is what interp-engine and nnsight capture.

interp-engine takes token ids alone, nnsight whatever the model takes. Skipped where they are not
installed; `make test` installs them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

from retinoscope.engine import Recording, capture, record
from retinoscope.interventions import as_site
from retinoscope.models import Checkpoint, Encoded, Family, Video, encode
from retinoscope.models.checkpoint import find_parts
from retinoscope.tokens import TokenLayout
from tests.engine import families
from tests.engine.families.parts import randomised, text_options
from tests.models import tiny_families
from tests.models.pictures import SIZES, picture

LAYER = 1
NAMES = [
    "resid_pre",
    "attn_in",
    "value",
    "attn_scores",
    "attn_probs",
    "z",
    "attn_out",
    "attn_out_post",
    "resid_mid",
    "mlp_in",
    "mlp_pre",
    "mlp_act",
    "mlp_out",
    "mlp_out_post",
    "resid_post",
]
TEXT: dict[str, Any] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**text_options())),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**text_options())),
    "mistral": lambda: hf.MistralForCausalLM(
        hf.MistralConfig(**text_options(head_dim=16, sliding_window=9))
    ),
    "gemma3": lambda: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(
            **text_options(
                head_dim=16,
                sliding_window=9,
                layer_types=["full_attention", "sliding_attention"] * 2,
            )
        )
    ),
    "cohere2": lambda: hf.Cohere2ForCausalLM(
        hf.Cohere2Config(**text_options(sliding_window=9, layer_types=["sliding_attention"] * 4))
    ),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**text_options(head_dim=16))),
}


def text_recording(name: str) -> Recording:
    """A text model with eager attention, which interp-engine asks for."""
    model = randomised(TEXT[name]())
    model.set_attn_implementation("eager")
    ids = torch.arange(5, 30)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    family = Family(name, (), lambda *_: None)
    checkpoint = Checkpoint(name, "", {}, model, None, family, find_parts(model))
    return record(checkpoint, Encoded(inputs, TokenLayout(ids.shape[1], ()), ""))


@pytest.mark.parametrize("name", TEXT)
def test_interp_engine_captures_the_same(name: str) -> None:
    """Every site that both have, under the same address."""
    tool = pytest.importorskip("interp_engine.capture")
    loading = pytest.importorskip("interp_engine.model")
    recording = text_recording(name)
    model = loading.EagerModel(
        name, hf_model=recording.checkpoint.model, tokenizer=SimpleNamespace(), device="cpu"
    )
    sites = [as_site(f"{one}.{LAYER}") for one in NAMES]
    sites = [site for site in sites if recording.has(site)]
    found = capture(recording, sites).load()
    assert len(found) >= 12
    for site, state in found.items():
        points = [(site.name, LAYER)]
        theirs = tool.capture(model, recording.encoded.inputs["input_ids"], points)
        expected = next(iter(theirs.tensors.values()))[0]
        if site.name in ("attn_scores", "attn_probs"):
            expected = expected.transpose(0, 1)
            allowed = recording.layers[LAYER].allowed[:, None]
            state, expected = (s.masked_fill(~allowed, 0.0) for s in (state, expected))
        assert torch.allclose(state, expected.reshape(state.shape), atol=1e-5), site


IMAGES = ["llava", "gemma3", "qwen2_vl", "aya_vision", "idefics3", "paligemma", "mistral3"]


PICTURES = [picture(SIZES["tiny"]), picture(SIZES["square"], seed=3)]
QUESTION = "Is there a dog ? "
CLIP = Video([picture((60, 50), seed=seed) for seed in range(3)], fps=2)
TWO: list[Any] = ["Describe", PICTURES[0], "USER", PICTURES[1], QUESTION]
SEVERAL: dict[str, list[Any]] = {
    "llava_next": TWO,
    "internvl": TWO,
    "idefics3": TWO,
    "mistral3": TWO,
    "qwen3_vl": TWO,
    "llava_next_video": [CLIP, QUESTION],
    "qwen2_5_vl": [CLIP, QUESTION],
}
"""Two images with text before, between and behind them, and videos."""


@pytest.mark.parametrize("name", IMAGES)
def test_nnsight_captures_the_same_of_images(name: str) -> None:
    assert_nnsight_agrees(*families.build(name))


@pytest.mark.parametrize("name", SEVERAL)
def test_nnsight_captures_the_same_of_several_images_and_videos(name: str) -> None:
    checkpoint = tiny_families.PLACED[name]()
    assert_nnsight_agrees(checkpoint, encode(checkpoint, SEVERAL[name]))


def assert_nnsight_agrees(checkpoint: Checkpoint, encoded: Encoded) -> None:
    """What goes in and out of a layer's parts."""
    nnsight = pytest.importorskip("nnsight")
    recording, model = record(checkpoint, encoded), nnsight.NNsight(checkpoint.model)
    layers = checkpoint.parts.layers
    path = next(name for name, module in checkpoint.model.named_modules() if module is layers)
    layer: Any = model
    for part in [*path.split("."), LAYER]:
        layer = layer[part] if isinstance(part, int) else getattr(layer, part)
    with torch.no_grad(), model.trace(**encoded.inputs, use_cache=False):
        attention = layer.self_attn.output.save()
        entered = layer.mlp.input.save()
        mlp = layer.mlp.output.save()
        left = layer.output.save()
    names = ["self_attn.output", "mlp.input", "mlp.output", "output"]
    for address, theirs in zip(names, (attention, entered, mlp, left), strict=True):
        ours = capture(recording, f"model.layers.{LAYER}.{address}")
        (state,) = ours.values()
        first: Tensor = theirs[0] if isinstance(theirs, tuple) else theirs
        assert torch.allclose(state, first.reshape(state.shape), atol=1e-6), address
