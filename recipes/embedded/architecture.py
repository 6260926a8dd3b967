"""The shapes of the embedded model: a small LLaVA, a CLIP tower and an untied Llama decoder."""

from __future__ import annotations

from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, PreTrainedTokenizerFast

from recipes.stack.shape import PATCH, PATCHES, Shape
from retinoscope.data.scenes.layout import SIZE


def vision_config(shape: Shape) -> CLIPVisionConfig:
    """CLIP's vision transformer over 12 x 12 patches of 16 pixels."""
    return CLIPVisionConfig(
        hidden_size=shape.width,
        intermediate_size=shape.vision_hidden,
        num_hidden_layers=shape.vision_layers,
        num_attention_heads=shape.heads,
        image_size=SIZE,
        patch_size=PATCH,
        projection_dim=shape.width,
        hidden_act="gelu",
    )


def decoder_config(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """Llama layers; input and output embeddings are separate.

    With tied embeddings a visual token that resembles a word's embedding would decode to it at
    once, and the logit lens would show the tie instead of the model's work.
    """
    numbers = tokenizer.get_vocab()
    return LlamaConfig(
        vocab_size=len(numbers),
        hidden_size=shape.width,
        intermediate_size=shape.decoder_hidden,
        num_hidden_layers=shape.decoder_layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=numbers["<bos>"],
        eos_token_id=numbers["<eos>"],
        pad_token_id=numbers["<pad>"],
    )


def llava_config(
    shape: Shape, tokenizer: PreTrainedTokenizerFast, tower: Shape | None = None
) -> LlavaConfig:
    """The whole model as LLaVA-1.5 puts it together, reading the tower's last layer.

    Args:
        shape: of the decoder.
        tokenizer: its words.
        tower: the tower's shape, where it is another one.
    """
    return LlavaConfig(
        vision_config=vision_config(tower or shape),
        text_config=decoder_config(shape, tokenizer),
        image_token_index=tokenizer.get_vocab()["<image>"],
        projector_hidden_act="gelu",
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=PATCHES,
        tie_word_embeddings=False,
    )
