"""Tiny checkpoints of the Qwen-VL families."""

from __future__ import annotations

from typing import Any

import transformers as hf
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.processors import image_only
from tests.models.tiny_parts import PATCH, WIDTH, Options, checkpoint, text, tokenizer
from tests.models.video_frames import QWEN, Qwen2Videos, Qwen3Videos

VISION = ("<|vision_start|>", "<|vision_end|>", "<|video_pad|>")
ROPE = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0}


PROCESSORS = dict.fromkeys(("Qwen3_5", "Qwen3_5Moe", "Qwen3VLMoe", "Qwen4Exp"), "Qwen3VL")
"""Models that come with another one's processor."""


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
    kind = getattr(hf, f"{PROCESSORS.get(name, name)}Processor")
    processor = image_only(kind)(image_processor=view, tokenizer=words)
    videos = Qwen2Videos if "2" in name else Qwen3Videos
    processor.video_processor = videos(**QWEN, **images)
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


LINEAR = {
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
"""The language model of Qwen3.5: linear attention below full attention."""


def qwen3_5(**images: Any) -> Checkpoint:
    """Qwen3.5: linear attention in the language model."""
    return _qwen("Qwen3_5", QWEN3_TOWER, LINEAR, images)


EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}


def qwen3_vl_moe(**images: Any) -> Checkpoint:
    """Qwen3-VL with a mixture of experts."""
    rope = {**ROPE, "mrope_interleaved": True}
    vision = {**QWEN3_TOWER, "deepstack_visual_indexes": [1]}
    language = {"head_dim": 8, "rope_parameters": rope, "decoder_sparse_step": 1, **EXPERTS}
    return _qwen("Qwen3VLMoe", vision, language, images)


def qwen3_5_moe(**images: Any) -> Checkpoint:
    """Qwen3.5 with a mixture of experts."""
    language = {**LINEAR, **EXPERTS, "shared_expert_intermediate_size": 16}
    return _qwen("Qwen3_5Moe", QWEN3_TOWER, language, images)


def qwen4_exp(**images: Any) -> Checkpoint:
    """Qwen4 Experimental: several residual streams, sparse attention, n-gram embeddings."""
    language = {
        **LINEAR,
        **EXPERTS,
        "shared_expert_intermediate_size": 16,
        "layer_types": ["linear_attention", "indexed_attention"],
        "hc_count": 2,
        "hc_lowrank": 8,
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
    }
    return _qwen("Qwen4Exp", QWEN3_TOWER, language, images)
