"""The behavioural checks pass on sound models and fail on broken ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from retinoscope.experiments.checks import Check, check
from retinoscope.geometry import PatchGrid
from retinoscope.models.checkpoint import Checkpoint
from tests.models import tiny_families

NAMES = [
    "token map",
    "recording equals the model",
    "knockout takes effect",
    "knocked-out attention is exactly zero",
    "lens agrees with the logits",
    "eager equals SDPA",
]


@pytest.fixture(scope="module")
def image() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture(scope="module")
def llava() -> Checkpoint:
    return tiny_families.PLACED["llava"]()


def by_name(checks: list[Check]) -> dict[str, Check]:
    assert [found.name for found in checks] == NAMES
    assert all(found.detail for found in checks)
    return {found.name: found for found in checks}


@pytest.mark.parametrize("kind", ["llava", "llava_next", "gemma3", "qwen3_vl", "lfm2_vl"])
def test_a_sound_model_passes_every_check(kind: str, image: Image.Image) -> None:
    checks = check(tiny_families.PLACED[kind](), image)
    failed = [found for found in by_name(checks).values() if found.passed is not True]
    assert not failed


def test_a_tower_without_the_decoders_attention_is_left_as_it_was(image: Image.Image) -> None:
    checkpoint = tiny_families.UNPLACED["fast_vlm"]()
    parts = [part for part in checkpoint.model.modules() if hasattr(part, "config")]
    before = [part.config._attn_implementation for part in parts]
    by_name(check(checkpoint, image))
    assert [part.config._attn_implementation for part in parts] == before


def test_a_wrong_geometry_fails_the_token_map(llava: Checkpoint, image: Image.Image) -> None:
    def mirrored(*args: object) -> PatchGrid:
        grid = llava.family.grid(*args)  # pyright: ignore[reportArgumentType]
        (tile,) = grid.tiles
        x0, y0, x1, y1 = tile.box
        width = (x1 - x0) / tile.columns
        return PatchGrid(grid.size, (replace(tile, box=(x0 + width, y0, x1 + width, y1)),))

    wrong = replace(llava, family=replace(llava.family, grid=mirrored))
    checks = by_name(check(wrong, image))
    assert checks["token map"].passed is False
    assert "not" in checks["token map"].detail
    assert checks["knockout takes effect"].passed


def test_a_model_without_attention_to_the_image_fails_the_knockout(
    llava: Checkpoint, image: Image.Image
) -> None:
    deaf = tiny_families.PLACED["llava"]()
    for layer in deaf.parts.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)  # pyright: ignore
    checks = by_name(check(deaf, image))
    assert checks["knockout takes effect"].passed is False
    assert checks["knocked-out attention is exactly zero"].passed is None
    assert checks["lens agrees with the logits"].passed


def test_a_model_without_spatial_tokens_has_no_token_map_to_check(image: Image.Image) -> None:
    checks = by_name(check(tiny_families.UNPLACED["blip2"](), image))
    assert checks["token map"].passed is None
    assert "Q-Former" in checks["token map"].detail


def test_how_conditions_are_run_is_said(llava: Checkpoint, image: Image.Image) -> None:
    assert "generated from what is recorded" in by_name(check(llava, image))[NAMES[1]].detail
    counting = tiny_families.PLACED["llava"]()
    whole = 0

    def by_length(_: torch.nn.Module, __: tuple, output: torch.Tensor) -> torch.Tensor:
        nonlocal whole
        whole = max(whole, output.shape[1])
        return output if output.shape[1] in (4, whole) else output * 0.5

    counting.parts.layers[0].mlp.register_forward_hook(by_length)  # pyright: ignore
    assert "full forward passes" in by_name(check(counting, image))[NAMES[1]].detail


def test_masked_logits_hide_no_difference(image: Image.Image) -> None:
    """As Chameleon's image tokens: with the most negative number as their scale all is equal."""
    masking = tiny_families.PLACED["llava"]()
    told = []

    def masked(_: torch.nn.Module, __: tuple, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[..., :3] = torch.finfo(output.dtype).min
        return output

    masking.parts.head.register_forward_hook(masked)
    assert by_name(check(masking, image))["eager equals SDPA"].passed

    def louder(_: torch.nn.Module, __: tuple, output: torch.Tensor) -> torch.Tensor:
        told.append(masking.model.config.text_config._attn_implementation)
        return output * 2 if told[-1] == "eager" else output

    masking.parts.layers[0].mlp.register_forward_hook(louder)  # pyright: ignore
    assert by_name(check(masking, image))["eager equals SDPA"].passed is False
