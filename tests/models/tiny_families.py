"""A tiny random-weight checkpoint of each family: real classes, no hub, no torchvision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.pixtral.image_processing_pil_pixtral import PixtralImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from retinoscope.models.checkpoint import Checkpoint, find_parts
from retinoscope.models.family import family_of
from retinoscope.models.processors import image_only, pixtral_processor
from tests.models.lfm2_images import Lfm2VlImages

SIDE, PATCH, WIDTH = 56, 14, 32
WORDS = "<pad> <bos> <eos> <unk> USER : ASSISTANT Is there a dog ? Describe this image .".split()
Options = dict[str, Any]


def tokenizer(*special: str, **named: str) -> hf.PreTrainedTokenizerFast:
    """A word-level tokenizer with special tokens; `named` ones become its attributes."""
    words = list(dict.fromkeys([*WORDS, *named.values(), *special]))
    level = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    level.pre_tokenizer = pre_tokenizers.Whitespace()
    level.add_special_tokens([*WORDS[:4], *named.values(), *special])
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=level,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens=named,
    )


def text(words: hf.PreTrainedTokenizerFast, **more: Any) -> Options:
    """The language model's options."""
    return {
        "vocab_size": len(words),
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        **more,
    }


def tower(**more: Any) -> Options:
    """The vision tower's options."""
    return {
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": PATCH,
        **more,
    }


def checkpoint(model: hf.PreTrainedModel, processor: Any) -> Checkpoint:
    """The model with random weights that tell every pixel and position apart."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        spread = 0.2 if parameter.ndim >= 2 else 0.02
        offset = parameter.data if parameter.ndim < 2 else torch.zeros(())
        parameter.data = offset + spread * torch.randn(parameter.shape, generator=generator)
    return Checkpoint(
        name=model.config.model_type,
        revision="",
        files={},
        model=model.eval().requires_grad_(False),
        processor=processor,
        family=family_of(model.config.model_type),
        parts=find_parts(model),
    )


def _siglip(**more: Any) -> hf.SiglipVisionConfig:
    return hf.SiglipVisionConfig(**tower(vision_use_head=False, **more))


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
        vision_config=_siglip(),
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
        vision_feature_layers=[-2, -1],
    )
    processor = hf.LlavaProcessor(
        image_processor=view,
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return checkpoint(hf.VipLlavaForConditionalGeneration(config), processor)


PINPOINTS = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]


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
        vision_config=_siglip(),
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
    vision = {**QWEN3_TOWER, "deepstack_visual_indexes": [0, 1]}
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
        vision_config=_siglip(patch_size=PATCH // 2),
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


def paligemma(**images: Any) -> Checkpoint:
    """PaliGemma: SigLIP before Gemma."""
    words = tokenizer(image_token="<image>")
    view = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE}, **images)
    view.image_seq_length = (SIDE // PATCH) ** 2
    processor = hf.PaliGemmaProcessor(image_processor=view, tokenizer=words)
    config = hf.PaliGemmaConfig(
        vision_config=_siglip(projection_dim=WIDTH),
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
        vision_config=_siglip(patch_size=PATCH // 2).to_dict(),
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


def mllama(**images: Any) -> Checkpoint:
    """Llama 3.2 Vision: cross-attention."""
    words = tokenizer(image_token="<|image|>")
    view = MllamaImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, max_image_tiles=2, **images
    )
    config = hf.MllamaConfig(
        vision_config={
            "hidden_size": 24,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "intermediate_size": 40,
            "vision_output_dim": 48,
            "image_size": SIDE,
            "patch_size": PATCH,
            "max_num_tiles": 2,
            "intermediate_layers_indices": [1],
            "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
        },
        text_config=text(
            words,
            cross_attention_layers=[1],
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        ),
        image_token_index=words.image_token_id,
    )
    processor = hf.MllamaProcessor(image_processor=view, tokenizer=words)
    return checkpoint(hf.MllamaForConditionalGeneration(config), processor)


QUERIES = 8


def _blip(name: str, words: Any, language: Any, processor: Any) -> Checkpoint:
    queries = {
        "vocab_size": len(words),
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "encoder_hidden_size": 24,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    config = getattr(hf, f"{name}Config")(
        vision_config=tower(),
        qformer_config=queries,
        text_config=language,
        num_query_tokens=QUERIES,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return checkpoint(getattr(hf, f"{name}ForConditionalGeneration")(config), processor)


def blip2(**images: Any) -> Checkpoint:
    """BLIP-2: a Q-Former before OPT."""
    words = tokenizer()
    view = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE}, **images)
    processor = hf.Blip2Processor(view, words, num_query_tokens=QUERIES)
    language = hf.OPTConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        word_embed_proj_dim=WIDTH,
    )
    return _blip("Blip2", words, language.to_dict(), processor)


def instructblip(**images: Any) -> Checkpoint:
    """InstructBLIP: a Q-Former that reads the question, before Llama."""
    words = tokenizer()
    view = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE}, **images)
    processor = hf.InstructBlipProcessor(view, words, words, num_query_tokens=QUERIES)
    language = {**hf.LlamaConfig(**text(words)).to_dict(), "model_type": "llama"}
    return _blip("InstructBlip", words, language, processor)


PLACED: dict[str, Callable[..., Checkpoint]] = {
    kind.__name__: kind
    for kind in (
        llava,
        llava_siglip,
        pixtral,
        vipllava,
        llava_next,
        llava_onevision,
        llava_onevision_shrunk,
        qwen2_vl,
        qwen2_5_vl,
        qwen3_vl,
        qwen3_5,
        internvl,
        aya_vision,
        idefics3,
        smolvlm,
        paligemma,
        gemma3,
        gemma3_pan_and_scan,
        mistral3,
        lfm2_vl,
    )
}
UNPLACED: dict[str, Callable[..., Checkpoint]] = {
    kind.__name__: kind for kind in (mllama, blip2, instructblip)
}
