"""Tiny checkpoints of the families whose visual tokens have no place in the image."""

from __future__ import annotations

from typing import Any

import transformers as hf
from transformers.models.aria.image_processing_pil_aria import AriaImageProcessorPil
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.emu3.image_processing_emu3 import Emu3ImageProcessor
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

from retinoscope.models.checkpoint import Checkpoint
from tests.models.tiny_parts import PATCH, SIDE, WIDTH, checkpoint, text, tokenizer, tower


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


def got_ocr2(**images: Any) -> Checkpoint:
    """GOT-OCR2: convolutions merge patches and look beyond their cell."""
    words = tokenizer("<|im_start|>", "<|im_end|>", "<img>", "</img>", image_token="<imgpad>")
    # Its processor always writes 256 tokens for a view.
    view = GotOcr2ImageProcessorPil(size={"height": 128, "width": 128}, **images)
    vision = tower(image_size=128, patch_size=2)
    config = hf.GotOcr2Config(
        vision_config={
            **{name: value for name, value in vision.items() if name != "intermediate_size"},
            "mlp_dim": 40,
            "output_channels": 16,
            "window_size": 8,
            "global_attn_indexes": [],
        },
        text_config=hf.Qwen2Config(**text(words)),
        image_token_index=words.image_token_id,
        image_seq_length=256,
    )
    processor = hf.GotOcr2Processor(image_processor=view, tokenizer=words)
    return checkpoint(hf.GotOcr2ForConditionalGeneration(config), processor)


def idefics2(**images: Any) -> Checkpoint:
    """Idefics2: a Perceiver resampler."""
    words = tokenizer(
        "<end_of_utterance>",
        image_token="<image>",
        image_boundary_token="<fake_token_around_image>",
    )
    view = Idefics2ImageProcessorPil(
        size={"shortest_edge": SIDE, "longest_edge": 2 * SIDE}, do_image_splitting=False, **images
    )
    config = hf.Idefics2Config(
        vision_config=tower(),
        perceiver_config={
            "hidden_size": WIDTH,
            "resampler_n_latents": QUERIES,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 8,
            "num_key_value_heads": 1,
        },
        text_config=hf.MistralConfig(**text(words, head_dim=8, sliding_window=None)),
        image_token_id=words.image_token_id,
    )
    processor = hf.Idefics2Processor(view, words, image_seq_len=QUERIES)
    return checkpoint(hf.Idefics2ForConditionalGeneration(config), processor)


def aria(**images: Any) -> Checkpoint:
    """Aria: a projector of queries before a mixture of experts."""
    words = tokenizer(image_token="<|img|>")
    view = AriaImageProcessorPil(**images)
    config = hf.AriaConfig(
        vision_config={**tower(image_size=980, patch_size=140), "model_type": "idefics3_vision"},
        text_config=text(words, moe_num_experts=4, moe_topk=2, moe_num_shared_experts=1),
        projector_patch_to_query_dict={49: QUERIES},
        image_token_index=words.image_token_id,
    )
    processor = hf.AriaProcessor(view, words, size_conversion={980: QUERIES})
    return checkpoint(hf.AriaForConditionalGeneration(config), processor)


def emu3(**images: Any) -> Checkpoint:
    """Emu3: a VQ-VAE turns the image into words of the vocabulary."""
    visual = [f"<|visual token {number:06d}|>" for number in range(8)]
    words = tokenizer(
        "<|extra_200|>",
        *visual,
        image_token="<image>",
        boi_token="<|image start|>",
        eoi_token="<|image end|>",
        image_wrapper_token="<|image token|>",
        eof_token="<|extra_201|>",
    )
    view = Emu3ImageProcessor(min_pixels=32**2, max_pixels=64**2, **images)
    config = hf.Emu3Config(
        vq_config={
            "codebook_size": 8,
            "embed_dim": 4,
            "latent_channels": 4,
            "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "attn_resolutions": [3],
            "hidden_size": 32,
        },
        text_config=text(words, attention_dropout=0.0),
        vocabulary_map=words.get_vocab(),
    )
    return checkpoint(hf.Emu3ForConditionalGeneration(config), hf.Emu3Processor(view, words))


def fast_vlm(**images: Any) -> Checkpoint:
    """FastVLM: a tower of convolutions; a ResNet stands for FastViT, which needs timm."""
    words = tokenizer(image_token="<image>")
    view = CLIPImageProcessorPil(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, **images
    )
    stages = {"hidden_sizes": [8, 24], "depths": [1, 1], "embedding_size": 8}
    config = hf.FastVlmConfig(
        vision_config=hf.ResNetConfig(**stages, layer_type="basic", hidden_size=24),
        text_config=hf.Qwen2Config(**text(words)),
        image_token_index=words.image_token_id,
        image_seq_length=64,
    )
    processor = hf.LlavaProcessor(
        image_processor=view,
        tokenizer=words,
        patch_size=8,
        vision_feature_select_strategy="full",
        num_additional_image_tokens=0,
    )
    return checkpoint(hf.FastVlmForConditionalGeneration(config), processor)
