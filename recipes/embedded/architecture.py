"""The shapes of the embedded model: a small LLaVA, a CLIP tower and an untied Llama decoder."""

from __future__ import annotations

from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, PreTrainedTokenizerFast

from recipes.embedded.pool import GRID, PATCH
from retinoscope.data.scenes.layout import SIZE

WIDTH = 192
HEADS = 6
VISION_LAYERS = 6
DECODER_LAYERS = 8
# Pixels are scaled to [0, 1] and then normalised with these, on every channel.
PIXEL_MEAN, PIXEL_STD = 0.5, 0.25


def vision_config() -> CLIPVisionConfig:
    """Six layers of CLIP's vision transformer over 12 x 12 patches of 16 pixels."""
    return CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=HEADS,
        image_size=SIZE,
        patch_size=PATCH,
        projection_dim=WIDTH,
        hidden_act="gelu",
    )


def decoder_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """Eight Llama layers; input and output embeddings are separate.

    With tied embeddings a visual token that resembles a word's embedding would decode to it at
    once, and the logit lens would show the tie instead of the model's work.
    """
    numbers = tokenizer.get_vocab()
    return LlamaConfig(
        vocab_size=len(numbers),
        hidden_size=WIDTH,
        intermediate_size=512,
        num_hidden_layers=DECODER_LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=numbers["<bos>"],
        eos_token_id=numbers["<eos>"],
        pad_token_id=numbers["<pad>"],
    )


def llava_config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    """The whole model as LLaVA-1.5 puts it together, reading the tower's last layer."""
    return LlavaConfig(
        vision_config=vision_config(),
        text_config=decoder_config(tokenizer),
        image_token_index=tokenizer.get_vocab()["<image>"],
        projector_hidden_act="gelu",
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=GRID * GRID,
        tie_word_embeddings=False,
    )
