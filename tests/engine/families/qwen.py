"""The Qwen families: three axes of position, and layers that add to the stream."""

from __future__ import annotations

import torch
import transformers as hf

from tests.engine.families.parts import (
    END,
    IMAGE,
    START,
    VIDEO,
    WIDTH,
    Built,
    built,
    family,
    pixels,
    text_options,
)

THREE_AXES = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
PATCHES = {"pixel_values": pixels(8 * 6, 96), "image_grid_thw": torch.tensor([[1, 8, 6]])}
QWEN_TOWER = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "out_hidden_size": WIDTH,
    "num_heads": 4,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
QWEN_TOKENS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}


def _qwen_built(model: hf.PreTrainedModel) -> Built:
    return built(model, PATCHES, types="mm_token_type_ids", wrapped=True)


@family
def qwen2_vl() -> Built:
    tower = {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": WIDTH,
        "num_heads": 4,
        "mlp_ratio": 2,
        "patch_size": 4,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    text = text_options(rope_parameters=THREE_AXES)
    config = hf.Qwen2VLConfig(vision_config=tower, text_config=text, **QWEN_TOKENS)
    return _qwen_built(hf.Qwen2VLForConditionalGeneration(config))


@family
def qwen2_5_vl() -> Built:
    tower = QWEN_TOWER | {"window_size": 16, "fullatt_block_indexes": [1]}
    text = text_options(rope_parameters=THREE_AXES)
    config = hf.Qwen2_5_VLConfig(vision_config=tower, text_config=text, **QWEN_TOKENS)
    return _qwen_built(hf.Qwen2_5_VLForConditionalGeneration(config))


@family
def qwen3_vl() -> Built:
    tower = QWEN_TOWER | {
        "depth": 4,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1, 2],
    }
    text = text_options(head_dim=16, rope_parameters=THREE_AXES | {"mrope_interleaved": True})
    config = hf.Qwen3VLConfig(vision_config=tower, text_config=text, **QWEN_TOKENS)
    return _qwen_built(hf.Qwen3VLForConditionalGeneration(config))


@family
def qwen3_5() -> Built:
    rope = THREE_AXES | {
        "mrope_section": [1, 1, 0],
        "partial_rotary_factor": 0.25,
        "mrope_interleaved": True,
    }
    text = text_options(
        head_dim=16,
        rope_parameters=rope,
        layer_types=["linear_attention", "full_attention"] * 2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    )
    tower = QWEN_TOWER | {"num_position_embeddings": 64}
    config = hf.Qwen3_5Config(vision_config=tower, text_config=text, **QWEN_TOKENS)
    return _qwen_built(hf.Qwen3_5ForConditionalGeneration(config))
