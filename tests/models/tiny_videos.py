"""Tiny checkpoints of the families whose processors take videos too."""

from __future__ import annotations

from typing import Any

import transformers as hf
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.minicpmv4_6.image_processing_pil_minicpmv4_6 import (
    MiniCPMV4_6ImageProcessorPil,
)
from transformers.models.video_llava.image_processing_video_llava import VideoLlavaImageProcessor

from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.processors import image_only
from tests.models.tiny_parts import (
    PATCH,
    PINPOINTS,
    SIDE,
    checkpoint,
    text,
    tokenizer,
    tower,
)
from tests.models.video_frames import CROPPED, LlavaNextVideos, VideoLlavaVideos


def llava_next_video(**images: Any) -> Checkpoint:
    """LLaVA-NeXT-Video: LLaVA-NeXT's images."""
    words = tokenizer(image_token="<image>", video_token="<video>")
    view = LlavaNextImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_grid_pinpoints=PINPOINTS,
        **images,
    )
    config = hf.LlavaNextVideoConfig(
        vision_config=hf.CLIPVisionConfig(**tower()),
        text_config=hf.LlamaConfig(**text(words)),
        image_token_index=words.image_token_id,
        video_token_index=words.video_token_id,
        image_grid_pinpoints=PINPOINTS,
    )
    processor = image_only(hf.LlavaNextVideoProcessor)(
        image_processor=view,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    processor.video_processor = LlavaNextVideos(**CROPPED, **images)
    return checkpoint(hf.LlavaNextVideoForConditionalGeneration(config), processor)


def video_llava(**images: Any) -> Checkpoint:
    """Video-LLaVA: a CLIP view beside a tower for videos."""
    words = tokenizer(image_token="<image>", video_token="<video>")
    view = VideoLlavaImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, **images
    )
    config = hf.VideoLlavaConfig(
        vision_config=hf.CLIPVisionConfig(**tower()),
        text_config=hf.LlamaConfig(**text(words)),
        image_token_index=words.image_token_id,
        video_token_index=words.video_token_id,
    )
    processor = image_only(hf.VideoLlavaProcessor)(
        image_processor=view,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    processor.video_processor = VideoLlavaVideos(**CROPPED, **images)
    return checkpoint(hf.VideoLlavaForConditionalGeneration(config), processor)


def minicpmv4_6(**images: Any) -> Checkpoint:
    """MiniCPM-V 4.6: a view of the whole, then slices; patches merged 4 x 4."""
    words = tokenizer(
        image_token="<unused>",
        video_token="<video>",
        image_start_token="<image>",
        image_end_token="</image>",
        slice_start_token="<slice>",
        slice_end_token="</slice>",
        image_id_start_token="<image_id>",
        image_id_end_token="</image_id>",
    )
    view = MiniCPMV4_6ImageProcessorPil(
        scale_resolution=96, patch_size=8, max_slice_nums=6, **images
    )
    config = hf.MiniCPMV4_6Config(
        vision_config=tower(image_size=96, patch_size=8, num_hidden_layers=3),
        text_config=hf.Qwen3_5TextConfig(
            **text(
                words,
                head_dim=16,
                layer_types=["linear_attention", "full_attention"],
                linear_key_head_dim=8,
                linear_value_head_dim=8,
                linear_num_key_heads=2,
                linear_num_value_heads=4,
            )
        ),
        image_size=96,
        insert_layer_id=1,
        image_token_id=words.image_token_id,
        video_token_id=words.video_token_id,
    )
    processor = image_only(hf.MiniCPMV4_6Processor)(image_processor=view, tokenizer=words)
    return checkpoint(hf.MiniCPMV4_6ForConditionalGeneration(config), processor)


def gemma4(**images: Any) -> Checkpoint:
    """Gemma 4: the image in its own shape, patches averaged 3 x 3."""
    words = tokenizer(
        "<|video|>",
        image_token="<|image|>",
        boi_token="<|image>",
        eoi_token="<image|>",
        audio_token="<|audio|>",
        boa_token="<|audio>",
        eoa_token="<audio|>",
    )
    view = Gemma4ImageProcessorPil(patch_size=4, max_soft_tokens=70, **images)
    rope = {"rope_type": "default", "rope_theta": 1e4}
    config = hf.Gemma4Config(
        vision_config={
            "hidden_size": 24,
            "intermediate_size": 40,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 12,
            "patch_size": 4,
            "position_embedding_size": 64,
        },
        text_config=text(
            words,
            head_dim=8,
            sliding_window=9,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters={"sliding_attention": rope, "full_attention": rope},
            global_head_dim=8,
            vocab_size_per_layer_input=len(words),
            hidden_size_per_layer_input=0,
        ),
        image_token_id=words.image_token_id,
        video_token_id=words.convert_tokens_to_ids("<|video|>"),
        boi_token_id=words.boi_token_id,
        eoi_token_id=words.eoi_token_id,
        audio_token_id=words.audio_token_id,
        boa_token_id=words.boa_token_id,
        eoa_token_index=words.eoa_token_id,
    )
    processor = image_only(hf.Gemma4Processor)(
        feature_extractor=hf.Gemma4AudioFeatureExtractor(),
        image_processor=view,
        tokenizer=words,
        video_processor=None,
    )
    return checkpoint(hf.Gemma4ForConditionalGeneration(config), processor)
