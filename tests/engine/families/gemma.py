"""Gemma 3 and PaliGemma, whose image reads itself both ways."""

from __future__ import annotations

import torch
import transformers as hf

from tests.engine.families.parts import (
    AFTER,
    END,
    IMAGE,
    START,
    VOCABULARY,
    WIDTH,
    Built,
    built,
    family,
    pixels,
    prompt,
    randomised,
    siglip_tower,
    text_only,
    text_options,
)


@family
def gemma3() -> Built:
    text = text_options(
        head_dim=16,
        sliding_window=9,
        layer_types=["sliding_attention", "full_attention"] * 2,
        query_pre_attn_scalar=16,
        final_logit_softcapping=5.0,
    )
    config = hf.Gemma3Config(
        vision_config=siglip_tower().to_dict(),
        text_config=text,
        mm_tokens_per_image=16,
        image_token_index=IMAGE,
        boi_token_index=START,
        eoi_token_index=END,
    )
    model = hf.Gemma3ForConditionalGeneration(config)
    images = {"pixel_values": pixels(1, 3, 56, 56)}
    return built(model, images, types="token_type_ids", wrapped=True)


def _paligemma(text: hf.PreTrainedConfig) -> Built:
    config = hf.PaliGemmaConfig(
        vision_config=siglip_tower(),
        text_config=text,
        image_token_index=IMAGE,
        projection_dim=WIDTH,
        hidden_size=WIDTH,
        tie_word_embeddings=False,
    )
    model = randomised(hf.PaliGemmaForConditionalGeneration(config))
    images = {"pixel_values": pixels(1, 3, 56, 56)}
    inputs = prompt(model, images, before=(), after=(1, *AFTER))
    prefix = torch.zeros_like(inputs["input_ids"])
    return Built(model, inputs | {"token_type_ids": prefix})


@family
def paligemma() -> Built:
    return _paligemma(hf.GemmaConfig(**text_options(head_dim=16, tie_word_embeddings=False)))


@family
def paligemma2() -> Built:
    return _paligemma(
        hf.Gemma2Config(**text_options(head_dim=16, sliding_window=8, tie_word_embeddings=False))
    )


@family
def gemma4() -> Built:
    """The last layers read the keys and values of earlier ones; each has inputs of its own."""
    text = text_options(
        head_dim=16,
        global_head_dim=16,
        sliding_window=9,
        num_hidden_layers=6,
        layer_types=["sliding_attention", "full_attention"] * 3,
        num_kv_shared_layers=2,
        hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=VOCABULARY,
        final_logit_softcapping=5.0,
    )
    return text_only(hf.Gemma4ForCausalLM(hf.Gemma4TextConfig(**text)))
