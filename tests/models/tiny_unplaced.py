"""Tiny checkpoints of the families whose visual tokens have no place in the image."""

from __future__ import annotations

from typing import Any

import transformers as hf
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
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
