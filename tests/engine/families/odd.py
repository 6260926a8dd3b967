"""Text models that each break an assumption: what a position reads, is told or may say."""

from __future__ import annotations

import transformers as hf

from tests.engine.families.parts import (
    HEADS,
    IMAGE,
    SMALL_TOWER,
    VOCABULARY,
    WIDTH,
    Built,
    odd,
    text_only,
    text_options,
)

EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 64}


@odd
def mistral_large4() -> Built:
    """Reads the best keys of every query, by an indexer that reads the states."""
    text = hf.MistralLarge4TextConfig(
        **text_options(
            **EXPERTS,
            num_key_value_heads=HEADS,
            n_routed_experts=4,
            kv_lora_rank=16,
            qk_rope_head_dim=8,
            qk_nope_head_dim=8,
            v_head_dim=16,
            head_dim=8,
            index_topk=6,
            index_head_dim=16,
            index_n_heads=16,
        )
    )
    config = hf.MistralLarge4Config(
        text_config=text,
        vision_config=hf.PixtralVisionConfig(**SMALL_TOWER),
        image_token_index=IMAGE,
    )
    return text_only(hf.MistralLarge4ForConditionalGeneration(config))


@odd
def minimax_m3() -> Built:
    """Reads the best blocks of keys, in every other layer, for each group of heads."""
    text = hf.MiniMaxM3VLTextConfig(
        **text_options(
            head_dim=16,
            num_local_experts=4,
            num_experts_per_tok=2,
            dense_intermediate_size=2 * WIDTH,
            shared_intermediate_size=WIDTH,
            rotary_dim=8,
            index_n_heads=2,
            index_head_dim=16,
            index_block_size=4,
            index_topk_blocks=2,
            layer_types=["full_attention", "minimax_m3_sparse"] * 2,
        )
    )
    return text_only(hf.MiniMaxM3VLForCausalLM(text))


@odd
def gemma4_text() -> Built:
    """Tells every layer the token at each position."""
    config = hf.Gemma4TextConfig(
        **text_options(
            head_dim=16,
            global_head_dim=16,
            vocab_size_per_layer_input=VOCABULARY,
            hidden_size_per_layer_input=16,
            layer_types=["sliding_attention", "full_attention"] * 2,
            sliding_window=9,
        )
    )
    return text_only(hf.Gemma4ForCausalLM(config))


@odd
def ernie_moe_text() -> Built:
    """Tells every layer which positions are an image's, and sends them to experts of their own."""
    text = hf.Ernie4_5_VLMoeTextConfig(
        **text_options(
            moe_intermediate_size=[64, 64],
            moe_k=2,
            moe_num_experts=4,
            mlp_layer_types=["dense"] + ["sparse"] * 3,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [2, 2, 4],
            },
        )
    )
    config = hf.Ernie4_5_VLMoeConfig(
        text_config=text.to_dict(),
        vision_config={
            "depth": 1,
            "hidden_size": 32,
            "num_heads": 4,
            "intermediate_size": 64,
        },
        image_token_id=IMAGE,
    )
    built = text_only(hf.Ernie4_5_VLMoeForConditionalGeneration(config))
    ids = built.inputs["input_ids"]
    kinds = ((ids > 9) & (ids < 16)).int()
    return Built(built.model, built.inputs | {"moe_mm_token_type_ids": kinds})


@odd
def chameleon_text() -> Built:
    """Never says an image's token: their logits are the most negative number."""
    names = {f"IMGIMG{letter}Z": 150 + at for at, letter in enumerate("ABCDEFGH")}
    config = hf.ChameleonConfig(
        **text_options(
            num_key_value_heads=HEADS,
            vocabulary_map=names | {"<image>": IMAGE},
            vq_config={
                "embed_dim": 16,
                "num_embeddings": 8,
                "latent_channels": 16,
                "resolution": 32,
                "base_channels": 32,
                "channel_multiplier": [1, 1],
                "num_res_blocks": 1,
            },
        )
    )
    return text_only(hf.ChameleonForConditionalGeneration(config))
