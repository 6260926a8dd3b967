"""Tiny checkpoints of the families that show the whole image in one padded or own-shaped view."""

from __future__ import annotations

from typing import Any

import transformers as hf
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)
from transformers.models.janus.image_processing_pil_janus import JanusImageProcessorPil
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil

from retinoscope.models.checkpoint import Checkpoint
from tests.models.tiny_parts import (
    PATCH,
    SIDE,
    WIDTH,
    checkpoint,
    siglip,
    text,
    tokenizer,
    tower,
)


def janus(**images: Any) -> Checkpoint:
    """Janus: the image padded to a square; made to draw images too."""
    words = tokenizer(image_token="<image_placeholder>", boi_token="<boi>", eoi_token="<eoi>")
    view = JanusImageProcessorPil(size={"height": SIDE, "width": SIDE}, **images)
    vision = {name: value for name, value in tower().items() if name != "intermediate_size"}
    config = hf.JanusConfig(
        vision_config={**vision, "mlp_ratio": 2, "projection_dim": WIDTH, "num_image_tokens": 16},
        text_config=hf.LlamaConfig(**text(words)),
        vq_config={
            "embed_dim": 4,
            "num_embeddings": 16,
            "latent_channels": 8,
            "base_channels": 32,
            "channel_multiplier": [1, 1],
            "num_res_blocks": 1,
            "projection_dim": WIDTH,
            "num_patches": 4,
            "image_token_embed_dim": WIDTH,
        },
        image_token_id=words.image_token_id,
    )
    processor = hf.JanusProcessor(view, words, num_image_tokens=16)
    return checkpoint(hf.JanusForConditionalGeneration(config), processor)


def deepseek_vl(**images: Any) -> Checkpoint:
    """DeepSeek-VL: the image padded to a square before a SigLIP tower."""
    words = tokenizer(image_token="<image_placeholder>")
    view = DeepseekVLImageProcessorPil(size={"height": SIDE, "width": SIDE}, **images)
    config = hf.DeepseekVLConfig(
        vision_config=siglip(),
        text_config=hf.LlamaConfig(**text(words)),
        image_token_id=words.image_token_id,
    )
    processor = hf.DeepseekVLProcessor(view, words, num_image_tokens=16)
    return checkpoint(hf.DeepseekVLForConditionalGeneration(config), processor)


def lighton_ocr(**images: Any) -> Checkpoint:
    """LightOnOCR: a Pixtral tower, 2 x 2 patches merged, no row breaks."""
    words = tokenizer(
        image_token="<|image_pad|>",
        image_break_token="<|vision_pad|>",
        image_end_token="<|vision_end|>",
    )
    view = PixtralImageProcessorPil(
        size={"longest_edge": 4 * SIDE},
        # Not the two patches that are merged: the last row and column may be left over.
        patch_size={"height": PATCH, "width": PATCH},
        **images,
    )
    config = hf.LightOnOcrConfig(
        vision_config=hf.PixtralVisionConfig(**tower(image_size=4 * SIDE, head_dim=12)),
        text_config=hf.Qwen3Config(**text(words, head_dim=8)),
        image_token_id=words.image_token_id,
        spatial_merge_size=2,
    )
    processor = hf.LightOnOcrProcessor(
        image_processor=view, tokenizer=words, patch_size=PATCH, spatial_merge_size=2
    )
    return checkpoint(hf.LightOnOcrForConditionalGeneration(config), processor)
