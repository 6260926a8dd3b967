"""Prompts of several images, of videos and of text alone: all equals the plain full forward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from retinoscope.engine import capture, evaluate, generate, record
from retinoscope.interventions import Ablate, Condition, resolve
from retinoscope.lens import read_changed
from retinoscope.models import Checkpoint, Encoded, Video, encode
from tests.engine.conditions import conditions
from tests.engine.oracle import eager, hooked, oracle, oracle_generate
from tests.models import tiny_families
from tests.models.pictures import SIZES, picture

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:returning `pixel_values_images`"),
]

QUESTION = "Is there a dog ? " * 3
IMAGES = (picture(SIZES["tiny"]), picture(SIZES["square"], seed=3))
VIDEO = Video([picture((60, 50), seed=seed) for seed in range(3)], fps=2)
PROMPTS: dict[str, list[Any]] = {
    "two images": ["Describe", IMAGES[0], "USER", IMAGES[1], QUESTION],
    "video": [VIDEO, QUESTION],
    "image and video": ["Is", IMAGES[0], "there", VIDEO, QUESTION],
    "text": ["Describe this image . " + QUESTION],
}
VIDEO_KINDS = ("llava_next_video", "video_llava", "qwen2_5_vl", "qwen3_vl")
ASKED = [
    *(("two images", kind) for kind in ("llava", "llava_next", "idefics3", "mistral3", "qwen3_vl")),
    *(("video", kind) for kind in VIDEO_KINDS),
    *(("image and video", kind) for kind in ("video_llava", "qwen3_vl")),
    *(("text", kind) for kind in ("llava", "idefics3", "qwen2_5_vl")),
]
each_prompt = pytest.mark.parametrize(("prompt", "kind"), ASKED)


def built(prompt: str, kind: str) -> tuple[Checkpoint, Encoded]:
    checkpoint = tiny_families.PLACED[kind]()
    return checkpoint, encode(checkpoint, PROMPTS[prompt])


def close(found: Tensor, expected: Tensor, what: str) -> None:
    """To 1e-5; logits well over 1 carry float32's rounding in proportion."""
    scale = max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) / scale <= 1e-5, what


@each_prompt
def test_conditions_equal_the_plain_way(prompt: str, kind: str) -> None:
    checkpoint, encoded = built(prompt, kind)
    recording = record(checkpoint, encoded)
    assert recording.fallback is None
    for name, given in conditions(recording).items():
        found = evaluate(recording, given).logits
        plain = [oracle(checkpoint, encoded, resolve(one, recording))[-1] for one in given]
        close(found, torch.stack(plain), name)
        moved = (torch.stack(plain) - recording.logits).abs().amax(-1)
        assert float(moved.min()) > 1e-4, f"{name} changes nothing, so it proves nothing"


@each_prompt
def test_generation_equals_the_models_own(prompt: str, kind: str) -> None:
    checkpoint, encoded = built(prompt, kind)
    recording = record(checkpoint, encoded, max_new_tokens=5)
    asked = conditions(recording)
    given: list[Condition] = [(), asked["ablation"][1], *asked["last position"][-1:]]
    for one, found in zip(given, generate(recording, given), strict=True):
        expected = oracle_generate(checkpoint, encoded, resolve(one, recording), 5)
        wanted = expected[: expected.index(2)] if 2 in expected else expected
        assert list(found.tokens) == wanted


@each_prompt
def test_lens_and_capture_equal_the_plain_way(prompt: str, kind: str) -> None:
    checkpoint, encoded = built(prompt, kind)
    recording = record(checkpoint, encoded)
    every = list(range(recording.length))
    for condition in ((), (Ablate(every[2:-3:2], "zero"),)):
        states, attended = plain_states(checkpoint, encoded, resolve(condition, recording))
        cache = capture(recording, "attn_out", condition)
        close(cache.stack("attn_out"), attended, "attn_out")
        parts = checkpoint.parts
        logits = parts.head(parts.decoder.norm(states))  # pyright: ignore[reportCallIssue]
        reading = read_changed(recording, condition, every, k=3, tracked=[5, 7])
        wanted = logits.log_softmax(-1)[..., [5, 7]].permute(2, 0, 1)
        close(reading.log_probability, wanted, "lens")
        entropy = torch.distributions.Categorical(logits=logits).entropy()
        close(reading.entropy, entropy, "entropy of the lens")


@torch.no_grad()
def plain_states(checkpoint: Checkpoint, encoded: Encoded, edits: Any) -> tuple[Tensor, Tensor]:
    """The stream at each layer's input and behind the last, and each attention's output."""
    states: list[Tensor] = []
    attended: list[Tensor] = []
    layers, hooks = checkpoint.parts.layers, []
    with eager(checkpoint.model), hooked(checkpoint, edits, encoded.layout.length):
        for layer in layers:
            hooks.append(
                layer.register_forward_pre_hook(
                    lambda _m, args, options: states.append(
                        (args[0] if args else options["hidden_states"])[0]
                    ),
                    with_kwargs=True,
                )
            )
            hooks.append(
                layer.self_attn.register_forward_hook(  # pyright: ignore
                    lambda _m, _a, out: attended.append(out[0][0])
                )
            )
        hooks.append(
            checkpoint.parts.decoder.norm.register_forward_pre_hook(  # pyright: ignore
                lambda _m, args: states.append(args[0][0])
            )
        )
        checkpoint.model(**encoded.inputs, use_cache=False)
    for hook in hooks:
        hook.remove()
    return torch.stack(states), torch.stack(attended)
