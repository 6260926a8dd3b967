"""Tiny checkpoints of the GLM-V families."""

from __future__ import annotations

from typing import Any

import transformers as hf
from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil
from transformers.models.glm5_next.image_processing_pil_glm5_next import (
    Glm5NextImageProcessorPil,
)
from transformers.models.glm46v.image_processing_pil_glm46v import Glm46VImageProcessorPil

from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.processors import image_only
from tests.models.tiny_parts import PATCH, SIDE, WIDTH, Options, checkpoint, text, tokenizer

MARKS = ("image_start", "image_end", "video_start", "video_end")
TOWER: Options = {
    "depth": 2,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_heads": 2,
    "out_hidden_size": WIDTH,
    "image_size": SIDE,
    "patch_size": PATCH,
}
ROPE = {
    "rope_type": "default",
    "rope_theta": 1e4,
    "mrope_section": [1, 1, 2],
    "partial_rotary_factor": 1.0,
}
EXPERTS = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}


def _glm(name: str, kind: Any, view: Any, vision: Options, language: Options) -> Checkpoint:
    words = tokenizer(
        "[gMASK]",
        "<sop>",
        "<|user|>",
        "<|assistant|>",
        image_token="<|image|>",
        video_token="<|video|>",
        image_start="<|begin_of_image|>",
        image_end="<|end_of_image|>",
        video_start="<|begin_of_video|>",
        video_end="<|end_of_video|>",
    )
    config = getattr(hf, f"{name}Config")(
        vision_config={**TOWER, **vision},
        text_config=text(words, **{"rope_parameters": ROPE, **language}),
        image_token_id=words.image_token_id,
        video_token_id=words.video_token_id,
        **{f"{mark}_token_id": getattr(words, f"{mark}_id") for mark in MARKS},
    )
    processor = image_only(kind)(image_processor=view, tokenizer=words)
    return checkpoint(getattr(hf, f"{name}ForConditionalGeneration")(config), processor)


def _view(kind: Any, images: Options) -> Any:
    size = {"shortest_edge": 56**2 * 2, "longest_edge": 224**2 * 2}
    return kind(patch_size=PATCH, size=size, **images)


def glm4v(**images: Any) -> Checkpoint:
    """GLM-4.1V."""
    return _glm("Glm4v", hf.Glm4vProcessor, _view(Glm4vImageProcessorPil, images), {}, {})


def glm4v_moe(**images: Any) -> Checkpoint:
    """GLM-4.5V: a mixture of experts above one dense layer."""
    view = _view(Glm4vImageProcessorPil, images)
    language = {**EXPERTS, "head_dim": 8, "first_k_dense_replace": 1}
    return _glm("Glm4vMoe", hf.Glm4vProcessor, view, {}, language)


def glm46v(**images: Any) -> Checkpoint:
    """GLM-4.6V."""
    vision = {"model_type": "glm4v_vision"}
    view = _view(Glm46VImageProcessorPil, images)
    return _glm("Glm46V", hf.Glm46VProcessor, view, vision, {"model_type": "glm4v_text"})


def glm_ocr(**images: Any) -> Checkpoint:
    """GLM-OCR: comes with GLM-4.6V's processor."""
    view = _view(Glm46VImageProcessorPil, images)
    return _glm("GlmOcr", hf.Glm46VProcessor, view, {}, {"head_dim": 8})


def glm5_next(**images: Any) -> Checkpoint:
    """GLM-5.3: several residual streams, sparse attention."""
    language = {
        **EXPERTS,
        "rope_parameters": None,
        "num_key_value_heads": 4,
        "kv_lora_rank": 8,
        "q_lora_rank": 8,
        "v_head_dim": 8,
        "qk_nope_head_dim": 8,
        "index_topk": 8,
        "index_head_dim": 8,
        "index_n_heads": 2,
        "index_kpool": 2,
        "linear_head_dim": 8,
        "linear_num_heads": 2,
        "hc_mult": 2,
        "layer_types": ["linear_attention", "full_attention"],
    }
    view = _view(Glm5NextImageProcessorPil, images)
    vision = {"projection_intermediate_size": 48}
    return _glm("Glm5Next", hf.Glm5NextProcessor, view, vision, language)
