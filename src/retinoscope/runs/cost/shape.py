"""The numbers of a model that make it cheap or costly, from its configuration alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText

from retinoscope.errors import ModelError
from retinoscope.models.checkpoint import find_parts
from retinoscope.models.read import WIDENED
from retinoscope.shipped import check_spelling, is_shipped, shipped_folder

TEXT = 32
"""Tokens of a prompt beside its image's, about."""


@dataclass(frozen=True)
class Shape:
    """What counts of a model.

    Attributes:
        layers: of the decoder.
        width: of its stream.
        layer_weights: numbers in its layers.
        vision_weights: numbers before them, the token embedding aside.
        unembedding: numbers of the unembedding.
        weights: all numbers.
        number_bytes: bytes of one number in memory.
        visual_tokens: of one image.
    """

    layers: int
    width: int
    layer_weights: int
    vision_weights: int
    unembedding: int
    weights: int
    number_bytes: int
    visual_tokens: int

    @property
    def length(self) -> int:
        """Positions of one prompt, about."""
        return self.visual_tokens + TEXT

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights in memory."""
        return self.weights * self.number_bytes

    @property
    def forward(self) -> float:
        """Floating-point operations of one pass of the language model over one prompt."""
        return self.linear + 4 * self.layers * self.length**2 * self.width

    @property
    def linear(self) -> float:
        """Of these, those with weights; the others are attention's own."""
        return 2.0 * self.length * self.layer_weights + 2.0 * self.unembedding

    @property
    def vision(self) -> float:
        """Floating-point operations of the vision tower on one image."""
        return 2.0 * self.vision_weights * self.visual_tokens

    @property
    def recording_bytes(self) -> int:
        """Bytes of one recorded run: the stream, the attention's input, keys and values."""
        return 4 * self.layers * self.length * self.width * self.number_bytes


def config_of(model: str, revision: str | None = None) -> Any:
    """A model's configuration; of a hub name that file alone is fetched.

    Raises:
        ModelError: there is none.
    """
    if not Path(model).exists():
        check_spelling(model)
    source = shipped_folder(model) if is_shipped(model) else model
    try:
        return AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{model} has no configuration that can be read ({error}); give `embedded`, a folder "
            "with a config.json, or a hub name."
        ) from error


def shape_of(name: str, config: Any, dtype: str | None = None) -> Shape:
    """The numbers of a model.

    Args:
        name: how an error calls it.
        config: its configuration.
        dtype: of the weights, by its torch name; None is as a run chooses it.

    Raises:
        ModelError: its class isn't known, or the configuration doesn't tell the visual tokens.
    """
    try:
        with torch.device("meta"):
            model: Any = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{name}: no model can be made of its configuration ({error}).") from error
    parts = find_parts(model)
    layers, head = _count(parts.layers), _count(parts.head)
    every = _count(model)
    return Shape(
        layers=len(parts.layers),
        width=next(parts.embedding.parameters()).shape[-1],
        layer_weights=layers,
        vision_weights=max(0, every - layers - head - _count(parts.embedding)),
        unembedding=head,
        weights=every,
        number_bytes=_number_bytes(every, config, dtype),
        visual_tokens=visual_tokens(name, config),
    )


def visual_tokens(name: str, config: Any) -> int:
    """Visual tokens of one image, of one of the size that the configuration names.

    Raises:
        ModelError: the configuration doesn't tell.
    """
    told = getattr(config, "image_seq_length", None)
    if isinstance(told, int):
        return told
    vision = getattr(config, "vision_config", None)
    side, patch = getattr(vision, "image_size", None), getattr(vision, "patch_size", None)
    if isinstance(side, int) and isinstance(patch, int):
        return (side // patch) ** 2
    raise ModelError(
        f"The configuration of {name} doesn't tell how many visual tokens an image has; give the "
        "number with --visual-tokens."
    )


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _number_bytes(weights: int, config: Any, dtype: str | None) -> int:
    """As `retinoscope.load` chooses: small models are widened to float32."""
    if dtype is not None:
        return getattr(torch, dtype).itemsize
    own = getattr(config, "dtype", None) or torch.float32
    return max(own.itemsize, 4) if weights * own.itemsize <= WIDENED else own.itemsize
