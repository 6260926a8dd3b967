"""A tiny random-weight LLaVA of the real Hugging Face classes, with its processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

WORDS: Sequence[str] = (
    "<pad> <bos> <eos> <unk> <image> USER : ASSISTANT Describe this image . Is there a an dog cat "
    "apple car in ? It is What at the left right Yes No and dogs cats"
).split()

LAYERS, HEADS, WIDTH, SIDE, PATCH = 4, 4, 32, 56, 14


def tokenizer(vocabulary: Sequence[str] = WORDS) -> PreTrainedTokenizerFast:
    """A word-level tokenizer over some words, which begin as WORDS do."""
    ids = {word: index for index, word in enumerate(vocabulary)}
    words = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.add_special_tokens(WORDS[:5])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )


def processor(vocabulary: Sequence[str] = WORDS) -> LlavaProcessor:
    """LLaVA's processor with the Pillow CLIP image processor."""
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer(vocabulary),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def model(
    seed: int = 0, attention: str = "sdpa", vocabulary: Sequence[str] = WORDS
) -> LlavaForConditionalGeneration:
    """Random weights large enough that every intervention moves the logits visibly."""
    vision = CLIPVisionConfig(
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
        projection_dim=24,
    )
    text = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=vocabulary.index("<image>"),
        vision_feature_layer=-1,
    )
    network = LlavaForConditionalGeneration(config)
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        if parameter.ndim >= 2:
            parameter.data.normal_(0, 0.15, generator=generator)
    network.set_attn_implementation(attention)
    return network.eval()


def save(folder: Path, seed: int = 0, vocabulary: Sequence[str] = WORDS) -> Path:
    """The tiny model and its processor in Hugging Face format."""
    model(seed, vocabulary=vocabulary).save_pretrained(folder)
    processor(vocabulary).save_pretrained(folder)
    return folder
