"""Families whose image is a plain grid or tiles of one, behind an adapter."""

from __future__ import annotations

import torch
import transformers as hf

from tests.engine.families.parts import (
    IMAGE,
    SMALL_TOWER,
    VIDEO,
    Built,
    built,
    clip_tower,
    family,
    llama_text,
    mistral_text,
    pixels,
    qwen_text,
    siglip_tower,
    text_options,
)


@family
def llava() -> Built:
    config = hf.LlavaConfig(
        vision_config=clip_tower(),
        text_config=llama_text(),
        image_token_index=IMAGE,
        vision_feature_layer=-2,
    )
    model = hf.LlavaForConditionalGeneration(config)
    return built(model, {"pixel_values": pixels(1, 3, 56, 56)})


@family
def vipllava() -> Built:
    config = hf.VipLlavaConfig(
        vision_config=clip_tower(),
        text_config=llama_text(),
        image_token_index=IMAGE,
        vision_feature_layers=[-2, -1],
    )
    model = hf.VipLlavaForConditionalGeneration(config)
    return built(model, {"pixel_values": pixels(1, 3, 56, 56)})


PINPOINTS = [[28, 56], [56, 28], [56, 56]]
TILES = {"pixel_values": pixels(1, 5, 3, 28, 28), "image_sizes": torch.tensor([[50, 56]])}


@family
def llava_next() -> Built:
    config = hf.LlavaNextConfig(
        vision_config=clip_tower(28),
        text_config=llama_text(),
        image_token_index=IMAGE,
        image_grid_pinpoints=PINPOINTS,
    )
    return built(hf.LlavaNextForConditionalGeneration(config), TILES)


@family
def llava_onevision() -> Built:
    config = hf.LlavaOnevisionConfig(
        vision_config=siglip_tower(28),
        text_config=qwen_text(),
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        image_grid_pinpoints=PINPOINTS,
    )
    return built(hf.LlavaOnevisionForConditionalGeneration(config), TILES)


@family
def internvl() -> Built:
    tower = SMALL_TOWER | {"image_size": [56, 56], "patch_size": [14, 14]}
    config = hf.InternVLConfig(
        vision_config=tower, text_config=qwen_text(), image_token_id=IMAGE, image_seq_length=4
    )
    model = hf.InternVLForConditionalGeneration(config)
    return built(model, {"pixel_values": pixels(3, 3, 56, 56)})


def _pixtral(patch: int) -> hf.PixtralVisionConfig:
    tower = SMALL_TOWER | {"num_attention_heads": 2, "patch_size": patch}
    return hf.PixtralVisionConfig(**tower)


TALL = {"pixel_values": pixels(1, 3, 56, 42), "image_sizes": torch.tensor([[56, 42]])}


@family
def mistral3() -> Built:
    config = hf.Mistral3Config(
        vision_config=_pixtral(7),
        text_config=mistral_text(),
        image_token_index=IMAGE,
        spatial_merge_size=2,
    )
    return built(hf.Mistral3ForConditionalGeneration(config), TALL)


@family
def pixtral() -> Built:
    config = hf.LlavaConfig(
        vision_config=_pixtral(14),
        text_config=mistral_text(),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return built(hf.LlavaForConditionalGeneration(config), TALL)


@family
def idefics3() -> Built:
    config = hf.Idefics3Config(
        vision_config=SMALL_TOWER, text_config=llama_text(), image_token_id=IMAGE, scale_factor=2
    )
    model = hf.Idefics3ForConditionalGeneration(config)
    return built(model, {"pixel_values": pixels(1, 3, 3, 56, 56)})


@family
def smolvlm() -> Built:
    config = hf.SmolVLMConfig(
        vision_config=SMALL_TOWER, text_config=llama_text(), image_token_id=IMAGE, scale_factor=2
    )
    model = hf.SmolVLMForConditionalGeneration(config)
    return built(model, {"pixel_values": pixels(1, 3, 3, 56, 56)})


@family
def aya_vision() -> Built:
    text = hf.Cohere2Config(
        **text_options(
            sliding_window=9,
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
            logit_scale=0.25,
        )
    )
    config = hf.AyaVisionConfig(
        vision_config=siglip_tower(),
        text_config=text,
        image_token_index=IMAGE,
        vision_feature_layer=-1,
    )
    model = hf.AyaVisionForConditionalGeneration(config)
    return built(model, {"pixel_values": pixels(2, 3, 56, 56)})
