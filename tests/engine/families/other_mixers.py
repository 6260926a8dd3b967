"""Families with convolutions, cross-attention, or queries that stand for the image."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf

from tests.engine.families.parts import (
    AFTER,
    HEADS,
    IMAGE,
    LAYERS,
    SMALL_TOWER,
    VOCABULARY,
    WIDTH,
    Built,
    built,
    family,
    llama_text,
    pixels,
    prompt,
    randomised,
    text_options,
)


@family
def lfm2_vl() -> Built:
    tower = hf.Siglip2VisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_patches=16,
        patch_size=14,
        vision_use_head=False,
    )
    text = hf.Lfm2Config(
        **text_options(layer_types=["conv", "full_attention"] * 2, block_multiple_of=16)
    )
    config = hf.Lfm2VlConfig(
        vision_config=tower,
        text_config=text,
        image_token_id=IMAGE,
        downsample_factor=2,
        projector_hidden_size=32,
    )
    images = {
        "pixel_values": pixels(1, 16, 14 * 14 * 3),
        "spatial_shapes": torch.tensor([[4, 4]]),
        "pixel_attention_mask": torch.ones(1, 16, dtype=torch.long),
    }
    return built(hf.Lfm2VlForConditionalGeneration(config), images)


@family
def mllama() -> Built:
    tower = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_global_layers": 1,
        "attention_heads": 4,
        "intermediate_size": 64,
        "vision_output_dim": 64,
        "image_size": 28,
        "patch_size": 14,
        "max_num_tiles": 2,
        "intermediate_layers_indices": [1],
        "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    text = text_options(cross_attention_layers=[1, 3], rope_parameters=rope)
    config = hf.MllamaConfig(vision_config=tower, text_config=text, image_token_index=IMAGE)
    ids = torch.tensor([[1, IMAGE, 5, 6, 7, 8, 9, 10, 11]])
    seen = torch.ones(1, 9, 1, 2, dtype=torch.long)
    seen[:, 0] = 0
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": pixels(1, 1, 2, 3, 28, 28),
        "aspect_ratio_ids": torch.tensor([[2]]),
        "aspect_ratio_mask": torch.ones(1, 1, 2, dtype=torch.long),
        "cross_attention_mask": seen,
    }
    return Built(randomised(hf.MllamaForConditionalGeneration(config)), inputs)


def _blip(model: type, configuration: type, text: dict[str, Any]) -> hf.PreTrainedModel:
    former = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "encoder_hidden_size": 32,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    config = configuration(
        vision_config=SMALL_TOWER,
        qformer_config=former,
        text_config=text,
        num_query_tokens=8,
        image_token_index=IMAGE,
    )
    return randomised(model(config))


@family
def instructblip() -> Built:
    text = llama_text().to_dict() | {"model_type": "llama"}
    model = _blip(hf.InstructBlipForConditionalGeneration, hf.InstructBlipConfig, text)
    question = torch.tensor([[3, 4, 5]])
    inputs = prompt(
        model,
        {"pixel_values": pixels(1, 3, 56, 56)},
        before=(),
        after=(1, *AFTER),
        count=8,
        qformer_input_ids=question,
        qformer_attention_mask=torch.ones_like(question),
    )
    return Built(model, inputs)


@family
def blip2() -> Built:
    text = hf.OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        ffn_dim=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=512,
        word_embed_proj_dim=WIDTH,
        bos_token_id=2,
        pad_token_id=1,
        eos_token_id=2,
    ).to_dict()
    model = _blip(hf.Blip2ForConditionalGeneration, hf.Blip2Config, text)
    images = {"pixel_values": pixels(1, 3, 56, 56)}
    return Built(model, prompt(model, images, before=(), after=(2, *AFTER), count=8))
