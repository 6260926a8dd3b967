"""On a GPU: the same numbers as on the CPU, bf16 within its rounding, and memory that runs out.

Not part of the default run: `pytest -m gpu`. Each is skipped, saying so, where there is no GPU.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from retinoscope.data import embedded_scenes, load_image, object_mask
from retinoscope.engine import evaluate, generate, look, record
from retinoscope.interventions import Ablate, Condition, Knockout
from retinoscope.lens import read_changed
from retinoscope.models import Checkpoint, Encoded, load
from retinoscope.models.checkpoint import find_parts
from retinoscope.tokens import last, under
from tests.engine import families
from tests.engine.conditions import conditions
from tests.models import llava_shape

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]

CLOSE = 5e-5
"""Float32 sums in another order: of the largest logit, where that is over 1."""

COARSE = 5e-2
"""The same for bf16 weights and states, whose mantissa has 8 bits."""


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    """No TF32 in matrix products and convolutions, which would round inputs to 10 bits."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def on_gpu(checkpoint: Checkpoint, encoded: Encoded) -> tuple[Checkpoint, Encoded]:
    """Both moved to the GPU."""
    model = checkpoint.model.cuda()
    inputs = {name: value.cuda() for name, value in encoded.inputs.items()}
    return replace(checkpoint, model=model, parts=find_parts(model)), replace(
        encoded, inputs=inputs
    )


def given(recording: object) -> list[Condition]:
    """Every kind of condition."""
    return [one for kind in conditions(recording).values() for one in kind]


@pytest.mark.parametrize("name", families.BUILDERS)
def test_a_gpu_gives_the_same_logits(name: str) -> None:
    checkpoint, encoded = families.build(name)
    here = record(checkpoint, encoded)
    expected = evaluate(here, given(here)).logits
    there = record(*on_gpu(checkpoint, encoded))
    assert there.fallback == here.fallback
    found = evaluate(there, given(there)).logits.cpu()
    scale = max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) <= CLOSE * scale


@pytest.mark.parametrize("name", ["llava", "gemma3", "qwen2_5_vl", "idefics3"])
def test_bf16_stays_within_its_rounding(name: str) -> None:
    checkpoint, encoded = families.build(name, torch.bfloat16)
    coarse = record(*on_gpu(checkpoint, encoded))
    found = evaluate(coarse, given(coarse)).logits.float().cpu()
    # The same rounded weights, computed with in float32.
    exact = {k: v.float() if v.is_floating_point() else v for k, v in encoded.inputs.items()}
    model = checkpoint.model.cpu().float()
    fine = record(
        replace(checkpoint, model=model, parts=find_parts(model)),
        replace(encoded, inputs={k: v.cpu() for k, v in exact.items()}),
    )
    expected = evaluate(fine, given(fine)).logits
    scale = max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) <= COARSE * scale


@pytest.fixture(scope="module")
def embedded() -> tuple[Checkpoint, Checkpoint]:
    """The embedded model on the CPU and on the GPU."""
    return load("embedded"), load("embedded", device_map="cuda")


def test_the_embedded_model_answers_alike(embedded: tuple[Checkpoint, Checkpoint]) -> None:
    answers = []
    for checkpoint in embedded:
        found = []
        for scene in embedded_scenes(4, seed=3).samples:
            thing = scene.annotations[0]
            question = f"Is there a {thing.class_name} in this image?"
            recording = look(checkpoint, load_image(scene), question, max_new_tokens=12)
            layout = recording.encoded.layout
            tokens = under(layout, object_mask(scene, thing))
            asked: list[Condition] = [
                (),
                (Ablate(tokens.dilate(1), "zero"),),
                (Knockout(last(layout), tokens, range(4, 8)),),
                (Knockout(last(layout), tokens, range(8), heads=[0, 2]),),
            ]
            found += [tuple(one.tokens) for one in generate(recording, asked)]
            found.append(read_changed(recording, (), tokens, k=1).ids[6].tolist())
        answers.append(found)
    assert answers[0] == answers[1]


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_a_model_over_two_gpus_gives_the_same_logits(
    embedded: tuple[Checkpoint, Checkpoint],
) -> None:
    first = (
        "model.vision_tower",
        "model.multi_modal_projector",
        "model.language_model.embed_tokens",
    )
    second = ("model.language_model.norm", "model.language_model.rotary_emb", "lm_head")
    layers = {f"model.language_model.layers.{n}": n // 4 for n in range(8)}
    parted = load(
        "embedded", device_map=dict.fromkeys(first, 0) | layers | dict.fromkeys(second, 1)
    )
    image, question = Image.new("RGB", (192, 192), "green"), "Is there a dog in this image?"
    here, there = (look(each, image, question) for each in (embedded[0], parted))
    assert there.fallback == here.fallback
    expected = evaluate(here, given(here)).logits
    found = evaluate(there, given(there)).logits.cpu()
    assert float((found - expected).abs().max()) <= CLOSE * float(expected.abs().max())


def test_memory_that_runs_out_halves_the_pass(embedded: tuple[Checkpoint, Checkpoint]) -> None:
    recording = look(embedded[1], Image.new("RGB", (192, 192), "green"), "Is there a dog?")
    wanted: list[Condition] = [(Ablate([5 + n], "zero"),) for n in range(120)]
    expected = evaluate(recording, wanted).logits
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    room = torch.cuda.memory_reserved() + 300 * 2**20
    torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        found = evaluate(recording, wanted, memory=2**40).logits
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_model_of_7b_is_looked_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.get_device_properties(0).total_memory < 2**34:
        pytest.skip("needs a GPU with more than 16 GiB")
    llava_shape.write(tmp_path, llava_shape.LLAVA_7B)
    took: dict[str, float] = {}

    def timed(name: str, begun: float) -> float:
        torch.cuda.synchronize()
        took[name] = time.perf_counter() - begun
        return time.perf_counter()

    now = time.perf_counter()
    checkpoint = load(tmp_path, device_map="cuda")
    now = timed("load", now)
    pixels = np.random.default_rng(0).integers(0, 256, (336, 336, 3), dtype=np.uint8)
    image, question = Image.fromarray(pixels), "Is there a dog in this image ?"
    look(checkpoint, image, question, max_new_tokens=0)
    now = timed("first look, with its checks", now)
    recording = look(checkpoint, image, question, max_new_tokens=0)
    now = timed("look", now)
    mask = np.zeros((336, 336), dtype=bool)
    mask[100:180, 100:180] = True
    thing, end = under(recording.encoded.layout, mask), last(recording.encoded.layout)
    ablated = evaluate(recording, [(Ablate(thing, "zero"),)]).logits
    now = timed("ablation", now)
    cut = evaluate(recording, [(Knockout(end, thing, [n]),) for n in range(32)]).logits
    now = timed("32 knockouts", now)
    heads = [(Knockout(end, thing, [n], heads=[h]),) for n in range(32) for h in range(32)]
    evaluate(recording, heads)
    now = timed("1,024 knockouts of heads", now)
    read_changed(recording, (), thing, k=5)
    timed("lens", now)
    clean = recording.logits.float()
    assert float((ablated - clean).abs().max()) > 0
    assert float((cut - clean).abs().amax(-1).min()) > 0
    peak = torch.cuda.max_memory_allocated() / 2**30
    with capsys.disabled():
        lines = [f"{name} {seconds:.2f} s" for name, seconds in took.items()]
        print(f"\n{torch.cuda.get_device_name()}: {', '.join(lines)}; peak {peak:.1f} GiB")
