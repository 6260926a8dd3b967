"""Tiny checkpoints of the Qwen-VL families."""

from __future__ import annotations

from typing import Any

import transformers as hf
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.processors import image_only
from tests.models.tiny_parts import PATCH, WIDTH, Options, checkpoint, text, tokenizer

VISION = ("<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
ROPE = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}


def _qwen(name: str, vision: Options, language: Options, images: Options) -> Checkpoint:
    words = tokenizer(*VISION, "<|im_start|>", "<|im_end|>", image_token="<|image_pad|>")
    view = Qwen2VLImageProcessorPil(
        patch_size=PATCH, size={"shortest_edge": 56**2, "longest_edge": 224**2}, **images
    )
    start, end, video = (words.convert_tokens_to_ids(token) for token in VISION)
    config = getattr(hf, f"{name}Config")(
        vision_config={"num_heads": 2, "patch_size": PATCH, "spatial_merge_size": 2, **vision},
        text_config=text(words, **language),
        image_token_id=words.image_token_id,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    # Qwen3.5 comes with Qwen3-VL's processor.
    kind = getattr(hf, f"{name.replace('3_5', '3VL')}Processor")
    processor = image_only(kind)(image_processor=view, tokenizer=words)
    return checkpoint(getattr(hf, f"{name}ForConditionalGeneration")(config), processor)


def qwen2_vl(**images: Any) -> Checkpoint:
    """Qwen2-VL."""
    vision = {"depth": 2, "embed_dim": 24, "hidden_size": WIDTH, "mlp_ratio": 2}
    return _qwen("Qwen2VL", vision, {"rope_parameters": ROPE}, images)


def qwen2_5_vl(**images: Any) -> Checkpoint:
    """Qwen2.5-VL: windows of 4 x 4 patches."""
    vision = {
        "depth": 2,
        "hidden_size": 24,
        "intermediate_size": 40,
        "out_hidden_size": WIDTH,
        "window_size": 4 * PATCH,
        "fullatt_block_indexes": [1],
    }
    return _qwen("Qwen2_5_VL", vision, {"rope_parameters": ROPE}, images)


QWEN3_TOWER = {
    "depth": 4,
    "hidden_size": 24,
    "intermediate_size": 40,
    "out_hidden_size": WIDTH,
    "num_position_embeddings": 64,
}


def qwen3_vl(**images: Any) -> Checkpoint:
    """Qwen3-VL: DeepStack."""
    rope = {**ROPE, "mrope_interleaved": True}
    vision = {**QWEN3_TOWER, "deepstack_visual_indexes": [1]}
    return _qwen("Qwen3VL", vision, {"head_dim": 8, "rope_parameters": rope}, images)


def qwen3_5(**images: Any) -> Checkpoint:
    """Qwen3.5: linear attention in the language model."""
    language = {
        "head_dim": 16,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e4,
            "mrope_section": [1, 1, 0],
            "partial_rotary_factor": 0.25,
            "mrope_interleaved": True,
        },
        "layer_types": ["linear_attention", "full_attention"],
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
    }
    return _qwen("Qwen3_5", QWEN3_TOWER, language, images)
