"""Tiny checkpoints of the families that cut an image into tiles."""

from __future__ import annotations

from typing import Any

import transformers as hf
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.ovis2.image_processing_pil_ovis2 import Ovis2ImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.processors import image_only
from tests.models.lfm2_images import Lfm2VlImages
from tests.models.tiled_images import Cohere2VisionImages, PerceptionLMImages
from tests.models.tiny_parts import (
    PATCH,
    PINPOINTS,
    SIDE,
    WIDTH,
    Options,
    checkpoint,
    siglip,
    text,
    tokenizer,
    tower,
)


def llava_next(**images: Any) -> Checkpoint:
    """LLaVA-NeXT: any resolution, newlines."""
    words = tokenizer(image_token="<image>")
    view = LlavaNextImageProcessorPil(
        size={"shortest_edge": SIDE},
        crop_size={"height": SIDE, "width": SIDE},
        image_grid_pinpoints=PINPOINTS,
        **images,
    )
    config = hf.LlavaNextConfig(
        vision_config=hf.CLIPVisionConfig(**tower()),
        text_config=hf.LlamaConfig(**text(words)),
        image_token_index=words.image_token_id,
        image_grid_pinpoints=PINPOINTS,
    )
    processor = hf.LlavaNextProcessor(
        image_processor=view,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return checkpoint(hf.LlavaNextForConditionalGeneration(config), processor)


def llava_onevision(most: int = 9, **images: Any) -> Checkpoint:
    """LLaVA-OneVision: any resolution; details of more than `most` x 16 patches are shrunk."""
    words = tokenizer(image_token="<image>", video_token="<video>")
    view = LlavaOnevisionImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=PINPOINTS, **images
    )
    config = hf.LlavaOnevisionConfig(
        vision_config=siglip(),
        text_config=hf.Qwen2Config(**text(words)),
        image_token_index=words.image_token_id,
        video_token_index=words.video_token_id,
        image_grid_pinpoints=PINPOINTS,
        vision_aspect_ratio=f"anyres_max_{most}",
    )
    processor = image_only(hf.LlavaOnevisionProcessor)(
        image_processor=view,
        tokenizer=words,
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        vision_aspect_ratio=f"anyres_max_{most}",
    )
    return checkpoint(hf.LlavaOnevisionForConditionalGeneration(config), processor)


def llava_onevision_shrunk(**images: Any) -> Checkpoint:
    """LLaVA-OneVision where most details are shrunk."""
    return llava_onevision(most=2, **images)


def internvl(**images: Any) -> Checkpoint:
    """InternVL: tiles and thumbnail, pixel shuffle."""
    words = tokenizer(
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    view = GotOcr2ImageProcessorPil(size={"height": SIDE, "width": SIDE}, max_patches=6, **images)
    config = hf.InternVLConfig(
        vision_config=tower(image_size=[SIDE, SIDE], patch_size=[PATCH // 2, PATCH // 2]),
        text_config=hf.Qwen2Config(**text(words)),
        image_token_id=words.context_image_token_id,
        image_seq_length=16,
    )
    processor = image_only(hf.InternVLProcessor)(
        image_processor=view, tokenizer=words, image_seq_length=16
    )
    return checkpoint(hf.InternVLForConditionalGeneration(config), processor)


def aya_vision(**images: Any) -> Checkpoint:
    """Aya Vision: tiles and thumbnail, pixel shuffle."""
    words = tokenizer(
        "<|IMG_PATCH|>",
        "<|START_OF_IMG|>",
        "<|END_OF_IMG|>",
        "TILE_GLOBAL",
        *(f"TILE_{i}" for i in range(1, 13)),
        image_token="<image>",
    )
    view = GotOcr2ImageProcessorPil(size={"height": SIDE, "width": SIDE}, max_patches=6, **images)
    config = hf.AyaVisionConfig(
        vision_config=siglip(patch_size=PATCH // 2),
        text_config=hf.Cohere2Config(
            **text(words, sliding_window=9, layer_types=["sliding_attention", "full_attention"])
        ),
        image_token_index=words.convert_tokens_to_ids("<|IMG_PATCH|>"),
        vision_feature_layer=-1,
        downsample_factor=2,
    )
    processor = hf.AyaVisionProcessor(
        image_processor=view,
        tokenizer=words,
        patch_size=PATCH // 2,
        img_size=SIDE,
        downsample_factor=2,
    )
    return checkpoint(hf.AyaVisionForConditionalGeneration(config), processor)


def _idefics(name: str, view: Any, last: tuple[Any, ...]) -> Checkpoint:
    words = tokenizer(
        "<fake_token_around_image>",
        "<global-img>",
        "<end_of_utterance>",
        *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
        image_token="<image>",
    )
    config = getattr(hf, f"{name}Config")(
        vision_config=tower(patch_size=PATCH // 2),
        text_config=hf.LlamaConfig(**text(words)),
        image_token_id=words.image_token_id,
        scale_factor=2,
    )
    kind = image_only(getattr(hf, f"{name}Processor"))
    processor = kind(view, words, *last, image_seq_len=16)
    return checkpoint(getattr(hf, f"{name}ForConditionalGeneration")(config), processor)


def idefics3(**images: Any) -> Checkpoint:
    """Idefics3: tiles named by row and column."""
    sizes: Options = {"longest_edge": 4 * SIDE}
    view = Idefics3ImageProcessorPil(size=sizes, max_image_size={"longest_edge": SIDE}, **images)
    return _idefics("Idefics3", view, ())


def smolvlm(**images: Any) -> Checkpoint:
    """SmolVLM: Idefics3's layout."""
    sizes: Options = {"longest_edge": 3 * SIDE}
    view = SmolVLMImageProcessorPil(size=sizes, max_image_size={"longest_edge": SIDE}, **images)
    return _idefics("SmolVLM", view, (None,))


def lfm2_vl(**images: Any) -> Checkpoint:
    """LFM2-VL: tiles and thumbnail before convolutions and attention."""
    words = tokenizer(
        "<|image_start|>",
        "<|image_end|>",
        "<|img_thumbnail|>",
        *(f"<|img_row_{row}_col_{column}|>" for row in range(1, 7) for column in range(1, 7)),
        image_token="<image>",
    )
    config = hf.Lfm2VlConfig(
        vision_config=hf.Siglip2VisionConfig(**tower(num_patches=16, vision_use_head=False)),
        text_config=hf.Lfm2Config(
            **text(words, layer_types=["conv", "full_attention"], block_multiple_of=16)
        ),
        image_token_id=words.image_token_id,
        downsample_factor=2,
        projector_hidden_size=WIDTH,
    )
    processor = hf.Lfm2VlProcessor(Lfm2VlImages(**images), words)
    return checkpoint(hf.Lfm2VlForConditionalGeneration(config), processor)


def ovis2(**images: Any) -> Checkpoint:
    """Ovis2: a view of the whole, then tiles; 2 x 2 patches merged into a mix of visual words."""
    marks = ("<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>")
    words = tokenizer("<IMG_ATOM>", *marks, image_token="<image>")
    view = Ovis2ImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, crop_to_patches=True, max_patches=6, **images
    )
    atom, *others = words.convert_tokens_to_ids(["<IMG_ATOM>", *marks])
    config = hf.Ovis2Config(
        vision_config=tower(patch_size=PATCH // 2, vocab_size=40, hidden_stride=2),
        text_config=hf.Qwen2Config(**text(words)),
        image_token_id=atom,
        visual_indicator_token_ids=others,
        vocab_size=len(words),
        hidden_size=WIDTH,
    )
    processor = hf.Ovis2Processor(image_processor=view, tokenizer=words, image_seq_length=16)
    return checkpoint(hf.Ovis2ForConditionalGeneration(config), processor)


def perception_lm(**images: Any) -> Checkpoint:
    """PerceptionLM: a view of the whole, then tiles; a CLIP tower stands for timm's."""
    words = tokenizer(image_token="<|image|>", video_token="<|video|>")
    config = hf.PerceptionLMConfig(
        vision_config=hf.CLIPVisionConfig(
            **tower(patch_size=PATCH // 2), model_args={"embed_dim": 24}
        ),
        text_config=hf.LlamaConfig(**text(words)),
        projector_pooling_ratio=2,
        image_token_id=words.image_token_id,
        video_token_id=words.video_token_id,
    )
    processor = image_only(hf.PerceptionLMProcessor)(
        image_processor=PerceptionLMImages(**images),
        tokenizer=words,
        patch_size=PATCH // 2,
        pooling_ratio=2,
    )
    return checkpoint(hf.PerceptionLMForConditionalGeneration(config), processor)


def cohere2_vision(**images: Any) -> Checkpoint:
    """Command A Vision: tiles and thumbnail, pixel shuffle."""
    words = tokenizer(
        image_token="<|IMG_PATCH|>",
        boi_token="<|START_OF_IMG|>",
        eoi_token="<|END_OF_IMG|>",
        img_line_break_token="<|IMG_LINE_BREAK|>",
    )
    config = hf.Cohere2VisionConfig(
        vision_config=siglip(patch_size=PATCH // 2),
        text_config=hf.Cohere2Config(
            **text(words, sliding_window=9, layer_types=["sliding_attention", "full_attention"])
        ),
        downsample_factor=2,
        image_token_id=words.image_token_id,
        alignment_intermediate_size=48,
    )
    processor = hf.Cohere2VisionProcessor(
        image_processor=Cohere2VisionImages(**images), tokenizer=words
    )
    return checkpoint(hf.Cohere2VisionForConditionalGeneration(config), processor)
