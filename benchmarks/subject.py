"""The models that are measured: LLaVA of random weights in two sizes, and the embedded model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import (
    AutoModelForImageTextToText,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)


@dataclass(frozen=True)
class Size:
    """A LLaVA of random weights.

    Attributes:
        width: of the hidden states.
        layers: decoder layers.
        heads: query heads in each.
        side: visual tokens in a row; there are side x side.
        vocabulary: token ids; the last one stands for the image.
        text: text tokens, five of them before the image.
    """

    width: int
    layers: int
    heads: int
    side: int
    vocabulary: int
    text: int = 30


SIZES = {
    "random": Size(width=512, layers=16, heads=8, side=24, vocabulary=32_000),
    "heads": Size(width=512, layers=16, heads=32, side=24, vocabulary=32_000),
    "small": Size(width=256, layers=8, heads=8, side=12, vocabulary=8_000),
}
ONLY = {"heads": ("h", "k")}
"""Subjects that are there for some works alone: as many heads as LLaVA-1.5-7B has."""
EMBEDDED = "embedded"


@dataclass(frozen=True, eq=False)
class Subject:
    """A model, its inputs and where its image stands.

    Attributes:
        model: in eval mode, without gradients for weights.
        inputs: one prompt.
        visual: positions of the image, row after row.
        side: visual tokens in a row.
    """

    model: PreTrainedModel
    inputs: dict[str, Tensor]
    visual: list[int]
    side: int

    @property
    def other(self) -> dict[str, Tensor]:
        """The same prompt with another image: this one mirrored."""
        return {**self.inputs, "pixel_values": self.inputs["pixel_values"].flip(-1)}

    @property
    def length(self) -> int:
        """Positions of the prompt."""
        return self.inputs["input_ids"].shape[1]

    @property
    def layers(self) -> int:
        """Decoder layers."""
        return self.model.config.text_config.num_hidden_layers

    @property
    def heads(self) -> int:
        """Query heads in each layer."""
        return self.model.config.text_config.num_attention_heads


def make(name: str, folder: Path, side: int | None = None) -> None:
    """Write a subject to a folder: the same bits for every tool."""
    if name == EMBEDDED:
        _make_embedded(folder)
        return
    size = SIZES[name]
    side = side or size.side
    tower = CLIPVisionConfig(
        hidden_size=size.width // 2,
        intermediate_size=2 * size.width,
        num_hidden_layers=size.layers // 2,
        num_attention_heads=4,
        image_size=14 * side,
        patch_size=14,
    )
    text = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        intermediate_size=size.width * 43 // 16,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=4096,
        eos_token_id=None,
    )
    image = size.vocabulary - 1
    config = LlavaConfig(
        vision_config=tower, text_config=text, image_token_index=image, vision_feature_layer=-2
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.data.normal_(0, 0.05)
    model.generation_config.eos_token_id = None
    _save_model(folder, model)
    ids = [1, 5, 6, 7, 8, *[image] * side**2, *range(100, 95 + size.text)]
    pixels = torch.randn(1, 3, 14 * side, 14 * side)
    _save_tokenizer(folder)
    _save(folder, {"input_ids": torch.tensor([ids]), "pixel_values": pixels})


def _save_model(folder: Path, model: PreTrainedModel) -> None:
    """The usual files, and the weights by names that every version of transformers shares."""
    model.save_pretrained(folder)
    weights = {_shared_name(name): p.detach().clone() for name, p in model.named_parameters()}
    save_file(weights, folder / "weights.safetensors")


def _shared_name(name: str) -> str:
    """Without the level that older versions have between the tower and its parts."""
    return name.replace(".vision_model.", ".")


def _save_tokenizer(folder: Path) -> None:
    """A tokenizer of one word, which some tools won't start without."""
    words = Tokenizer(WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<unk>", pad_token="<unk>"
    )
    tokenizer.save_pretrained(folder)


def _make_embedded(folder: Path) -> None:
    from PIL import Image

    from retinoscope.models import encode
    from retinoscope.models import load as load_checkpoint

    checkpoint = load_checkpoint(EMBEDDED)
    side = checkpoint.model.config.vision_config.image_size
    image = Image.effect_noise((side, side), 80).convert("RGB")
    _save_model(folder, checkpoint.model)
    checkpoint.tokenizer.save_pretrained(folder)
    _save(folder, dict(encode(checkpoint, image, "Describe this image.").inputs))


def _save(folder: Path, inputs: dict[str, Tensor]) -> None:
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    save_file({k: v.contiguous() for k, v in inputs.items()}, folder / "inputs.safetensors")


def load(folder: Path, device: str = "cpu") -> Subject:
    """Read a subject back, onto a device."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    model.requires_grad_(False)
    weights = load_file(folder / "weights.safetensors")
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[_shared_name(name)])
    inputs = load_file(folder / "inputs.safetensors", device=device)
    image = model.config.image_token_id
    visual = torch.nonzero(inputs["input_ids"][0] == image).flatten().tolist()
    return Subject(model.to(device), inputs, visual, round(len(visual) ** 0.5))
