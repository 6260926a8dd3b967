"""Tiny checkpoints of the families that show an image once."""

from __future__ import annotations

from typing import Any

import transformers as hf
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.processors import pixtral_processor
from tests.models.tiny_parts import (
    PATCH,
    SIDE,
    WIDTH,
    Options,
    checkpoint,
    siglip,
    text,
    tokenizer,
    tower,
)


def llava(**images: Any) -> Checkpoint:
    """LLaVA-1.5: CLIP, centre crop."""
    words = tokenizer(image_token="<image>")
    view = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, **images
    )
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**tower()),
        text_config=hf.LlamaConfig(**text(words)),
        image_token_index=words.image_token_id,
        vision_feature_layer=-2,
    )
    processor = hf.LlavaProcessor(
        image_processor=view,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return checkpoint(hf.LlavaForConditionalGeneration(config), processor)


def llava_siglip(**images: Any) -> Checkpoint:
    """LLaVA with a SigLIP tower: the image is squeezed, no class token."""
    words = tokenizer(image_token="<image>")
    view = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}, **images)
    config = hf.LlavaConfig(
        vision_config=siglip(),
        text_config=hf.LlamaConfig(**text(words)),
        image_token_index=words.image_token_id,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    processor = hf.LlavaProcessor(
        image_processor=view,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
    )
    return checkpoint(hf.LlavaForConditionalGeneration(config), processor)


def _pixtral_processor(words: Any, merge: int, images: Options) -> Any:
    view = PixtralImageProcessorPil(
        size={"longest_edge": 4 * SIDE}, patch_size={"height": PATCH, "width": PATCH}, **images
    )
    return pixtral_processor()(
        image_processor=view, tokenizer=words, patch_size=PATCH, spatial_merge_size=merge
    )


def _pixtral_tower() -> hf.PixtralVisionConfig:
    return hf.PixtralVisionConfig(**tower(image_size=4 * SIDE, head_dim=12))


def pixtral(**images: Any) -> Checkpoint:
    """Pixtral 12B: LLaVA's class with a Pixtral tower."""
    words = tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    config = hf.LlavaConfig(
        vision_config=_pixtral_tower(),
        text_config=hf.MistralConfig(**text(words, head_dim=8, sliding_window=None)),
        image_token_index=words.convert_tokens_to_ids("[IMG]"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    processor = _pixtral_processor(words, 1, images)
    return checkpoint(hf.LlavaForConditionalGeneration(config), processor)


def mistral3(**images: Any) -> Checkpoint:
    """Mistral Small 3.1: 2 x 2 patches merged."""
    words = tokenizer("[IMG]", "[IMG_BREAK]", "[IMG_END]")
    config = hf.Mistral3Config(
        vision_config=_pixtral_tower(),
        text_config=hf.MistralConfig(**text(words, head_dim=8, sliding_window=None)),
        image_token_index=words.convert_tokens_to_ids("[IMG]"),
        spatial_merge_size=2,
    )
    processor = _pixtral_processor(words, 2, images)
    return checkpoint(hf.Mistral3ForConditionalGeneration(config), processor)


def vipllava(**images: Any) -> Checkpoint:
    """ViP-LLaVA: two layers of the tower in one token."""
    words = tokenizer(image_token="<image>")
    view = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, **images
    )
    config = hf.VipLlavaConfig(
        vision_config=hf.CLIPVisionConfig(**tower()),
        text_config=hf.LlamaConfig(**text(words)),
        image_token_index=words.image_token_id,
        vision_feature_layer=[-2, -1],
    )
    processor = hf.LlavaProcessor(
        image_processor=view,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return checkpoint(hf.VipLlavaForConditionalGeneration(config), processor)


def paligemma(**images: Any) -> Checkpoint:
    """PaliGemma: SigLIP before Gemma."""
    words = tokenizer(image_token="<image>")
    view = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}, **images)
    setattr(view, "image_seq_length", (SIDE // PATCH) ** 2)  # noqa: B010 - read by the processor
    processor = hf.PaliGemmaProcessor(image_processor=view, tokenizer=words)
    config = hf.PaliGemmaConfig(
        vision_config=siglip(projection_dim=WIDTH),
        text_config=hf.GemmaConfig(**text(words, head_dim=8)),
        image_token_index=words.image_token_id,
        projection_dim=WIDTH,
        hidden_size=WIDTH,
    )
    return checkpoint(hf.PaliGemmaForConditionalGeneration(config), processor)


def gemma3(**images: Any) -> Checkpoint:
    """Gemma 3: patches averaged 2 x 2."""
    words = tokenizer(
        boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>"
    )
    view = Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE}, **images)
    config = hf.Gemma3Config(
        vision_config=siglip(patch_size=PATCH // 2).to_dict(),
        text_config=text(
            words,
            head_dim=8,
            sliding_window=9,
            layer_types=["sliding_attention", "full_attention"],
            query_pre_attn_scalar=8,
        ),
        mm_tokens_per_image=16,
        image_token_index=words.image_token_id,
        boi_token_index=words.boi_token_id,
        eoi_token_index=words.eoi_token_id,
    )
    processor = hf.Gemma3Processor(image_processor=view, tokenizer=words, image_seq_length=16)
    return checkpoint(hf.Gemma3ForConditionalGeneration(config), processor)


def gemma3_pan_and_scan(**images: Any) -> Checkpoint:
    """Gemma 3 with crops of elongated images."""
    found = gemma3(**images)
    found.processor.images_kwargs = {
        "do_pan_and_scan": True,
        "pan_and_scan_min_crop_size": 30,
        "pan_and_scan_max_num_crops": 4,
        "pan_and_scan_min_ratio_to_activate": 1.2,
    }
    return found
