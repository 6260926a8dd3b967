"""What the tiny checkpoints share: words, sizes, a tower, random weights."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers

from retinoscope.models.checkpoint import Checkpoint, find_parts
from retinoscope.models.family import family_of

SIDE, PATCH, WIDTH = 56, 14, 32
PINPOINTS = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]
WORDS = "<pad> <bos> <eos> <unk> USER : ASSISTANT Is there a dog ? Describe this image .".split()
Options = dict[str, Any]


def tokenizer(*special: str, **named: str) -> Any:
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


def text(words: Any, **more: Any) -> Options:
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


def siglip(**more: Any) -> hf.SiglipVisionConfig:
    """A SigLIP tower without a pooling head."""
    return hf.SiglipVisionConfig(**tower(vision_use_head=False, **more))


def checkpoint(model: Any, processor: Any) -> Checkpoint:
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
