"""What builders of tiny models share: sizes, texts, towers, prompts and their register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers as hf
from torch import Tensor

from retinoscope.geometry import PatchGrid, Tile
from retinoscope.models import Checkpoint, Encoded, Family
from retinoscope.models.checkpoint import find_parts
from retinoscope.tokens import TokenLayout, VisualSpan

VOCABULARY, IMAGE, VIDEO, START, END = 200, 199, 198, 197, 196
WIDTH, LAYERS, HEADS, GROUPS = 64, 4, 4, 2
BEFORE, AFTER = (1, 5, 6, 7), (8, 9, 10, 11, 12, 13)


@dataclass(frozen=True)
class Built:
    """A model and what goes into it.

    Attributes:
        model: random weights, float32, eval mode.
        inputs: what the model is called with.
    """

    model: hf.PreTrainedModel
    inputs: dict[str, Tensor]


BUILDERS: dict[str, Callable[[], Built]] = {}


def family(builder: Callable[[], Built]) -> Callable[[], Built]:
    """Register a builder under its own name."""
    BUILDERS[builder.__name__] = builder
    return builder


def build(name: str, dtype: torch.dtype = torch.float32) -> tuple[Checkpoint, Encoded]:
    """A family's checkpoint and prompt."""
    built = BUILDERS[name]()
    model = built.model.to(dtype)
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in built.inputs.items()}
    none = Family(name, (), lambda *_: PatchGrid((1, 1), (Tile(1, 1, (0, 0, 1, 1)),)))
    checkpoint = Checkpoint(name, "", {}, model, None, none, find_parts(model))
    ids = inputs["input_ids"][0]
    positions = tuple(torch.nonzero(ids == IMAGE).flatten().tolist())
    spans = (VisualSpan(positions, _row(len(positions))),) if positions else ()
    return checkpoint, Encoded(inputs, TokenLayout(len(ids), spans), "")


def _row(cells: int) -> PatchGrid:
    return PatchGrid((cells, 1), (Tile(1, cells, (0, 0, cells, 1)),))


def randomised(model: hf.PreTrainedModel, seed: int = 0) -> hf.PreTrainedModel:
    """Weights large enough that every layer, head and gate matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            spread = 0.08 if parameter.shape[-1] > 48 else 0.15
            parameter.data.normal_(0, spread, generator=generator)
        elif "bias" in name:
            parameter.data.normal_(0, 0.02, generator=generator)
        elif "gate" in name or name.endswith(("scale", "lambda", "gamma")):
            parameter.data.normal_(0.5, 0.1, generator=generator)
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim == 1:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    return model.eval().float()


def pixels(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def text_options(**changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    } | changes


def llama_text() -> hf.LlamaConfig:
    return hf.LlamaConfig(**text_options())


def qwen_text() -> hf.Qwen2Config:
    return hf.Qwen2Config(**text_options())


def mistral_text() -> hf.MistralConfig:
    return hf.MistralConfig(**text_options(head_dim=16, sliding_window=None))


SMALL_TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
}


def clip_tower(size: int = 56) -> hf.CLIPVisionConfig:
    tower = SMALL_TOWER | {"num_hidden_layers": 3, "image_size": size}
    return hf.CLIPVisionConfig(**tower, projection_dim=32)


def siglip_tower(size: int = 56) -> hf.SiglipVisionConfig:
    tower = SMALL_TOWER | {"num_hidden_layers": 3, "image_size": size}
    return hf.SiglipVisionConfig(**tower, vision_use_head=False)


def prompt(
    model: hf.PreTrainedModel,
    images: Mapping[str, Tensor],
    *,
    before: tuple[int, ...] = BEFORE,
    after: tuple[int, ...] = AFTER,
    count: int | None = None,
    types: str | None = None,
    wrapped: bool = False,
    **others: Tensor,
) -> dict[str, Tensor]:
    """Text, as many image tokens as the model makes of the image, and text again."""
    if count is None:
        with torch.no_grad():
            features = model.get_image_features(**images, return_dict=True).pooler_output
        count = _rows(features)
    if wrapped:
        before, after = (*before, START), (END, *after)
    ids = torch.tensor([[*before, *[IMAGE] * count, *after]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **images, **others}
    if types is not None:
        inputs[types] = (ids == IMAGE).long()
    return inputs


def _rows(features: Any) -> int:
    """How many vectors nested features hold."""
    if isinstance(features, Tensor):
        return features.numel() // features.shape[-1]
    return sum(_rows(part) for part in features)


def built(model: hf.PreTrainedModel, images: Mapping[str, Tensor], **options: Any) -> Built:
    model = randomised(model)
    return Built(model, prompt(model, images, **options))


def text_only(model: hf.PreTrainedModel) -> Built:
    """A language model without an image."""
    ids = torch.arange(5, 30)[None]
    return Built(randomised(model), {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
