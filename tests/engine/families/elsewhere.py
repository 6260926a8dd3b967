"""Models that fall back, and text models of other attention."""

from __future__ import annotations

import torch
import transformers as hf

from tests.engine.families.parts import (
    IMAGE,
    VOCABULARY,
    WIDTH,
    Built,
    built,
    family,
    pixels,
    text_only,
    text_options,
)


@family
def florence2() -> Built:
    tower = {
        "depths": [1, 1, 1, 1],
        "embed_dim": [16, 16, 32, 32],
        "num_heads": [2, 2, 2, 2],
        "num_groups": [2, 2, 2, 2],
        "window_size": 4,
        "projection_dim": WIDTH,
        "drop_path_rate": 0.0,
    }
    text = hf.BartConfig(
        vocab_size=VOCABULARY,
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * WIDTH,
        decoder_ffn_dim=2 * WIDTH,
        max_position_embeddings=256,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    ).to_dict()
    config = hf.Florence2Config(vision_config=tower, text_config=text, image_token_id=IMAGE)
    model = hf.Florence2ForConditionalGeneration(config)
    images = {"pixel_values": pixels(1, 3, 128, 128)}
    begun = torch.tensor([[2, 4, 5, 6]])
    return built(model, images, before=(), decoder_input_ids=begun)


@family
def gemma3n_text() -> Built:
    config = hf.Gemma3nTextConfig(
        **text_options(
            head_dim=16,
            num_hidden_layers=6,
            sliding_window=9,
            layer_types=["sliding_attention", "full_attention"] * 3,
            num_kv_shared_layers=2,
            vocab_size_per_layer_input=VOCABULARY,
            hidden_size_per_layer_input=8,
            altup_num_inputs=2,
            laurel_rank=8,
            activation_sparsity_pattern=[0.0] * 6,
            intermediate_size=[2 * WIDTH] * 6,
        )
    )
    return text_only(hf.Gemma3nForCausalLM(config))


@family
def gpt_oss_text() -> Built:
    """Attention sinks and a mixture of experts."""
    config = hf.GptOssConfig(
        **text_options(
            head_dim=16,
            num_local_experts=4,
            num_experts_per_tok=2,
            sliding_window=9,
            layer_types=["sliding_attention", "full_attention"] * 2,
        )
    )
    return text_only(hf.GptOssForCausalLM(config))
