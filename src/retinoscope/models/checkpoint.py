"""Checkpoint: a loaded VLM and the handles on its parts."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from retinoscope.brief import brief_fields
from retinoscope.errors import ModelError
from retinoscope.models.family import Family
from retinoscope.models.identity import content_hash


@dataclass(frozen=True, eq=False)
class Parts:
    """Handles on the language model inside a VLM.

    Attributes:
        decoder: the language model's decoder.
        layers: its decoder layers, in order.
        head: the unembedding.
        embedding: the token embedding.
        head_count: query heads in each layer.
    """

    decoder: PreTrainedModel
    layers: nn.ModuleList
    head: nn.Module
    embedding: nn.Module
    head_count: int

    __repr__ = brief_fields


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A vision-language model, ready to be looked into.

    Attributes:
        name: the hub name, folder or "embedded".
        revision: the hub's commit hash, or "".
        files: SHA-256 of the checkpoint's files by file name, for the record; none where it is
            from the hub or was handed over as an object.
        model: the Hugging Face model, in eval mode.
        processor: its processor.
        family: how it lays images out.
        parts: handles on its language model.
        mean: the mean visual token at the input of the first decoder layer, if it is known: one
            for all visual tokens, or one for each in their order.
        found: what the engine has found out about the model, by question, so that it is asked once.
    """

    name: str
    revision: str
    files: Mapping[str, str]
    model: PreTrainedModel
    processor: Any
    family: Family
    parts: Parts
    mean: Float[Tensor, "*positions width"] | None = None
    found: dict[Hashable, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        kind, dtype = type(self.model).__name__, str(self.model.dtype).removeprefix("torch.")
        mean = "unknown" if self.mean is None else "known"
        return (
            f"Checkpoint({self.name!r}, {kind} of the family {self.family.name}, "
            f"{self.layer_count} layers, {dtype} on {self.device}, mean visual token {mean})"
        )

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    def text(self, tokens: Iterable[int]) -> str:
        """Token ids as text, special tokens and surrounding space left out."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True).strip()

    @cached_property
    def identity(self) -> Any:
        """What tells the model from any other, as plain values: by its files where they are known.

        A model that was handed over as an object is told by its weights, all of which are read.
        """
        if self.files:
            # A folder's files name the model wherever it lies; its base may be from the hub.
            return {**self.files, "revision": self.revision} if self.revision else {**self.files}
        return [self.name, self.revision or content_hash(self.model)]

    @property
    def device(self) -> torch.device:
        """Where inputs go: the device of the token embedding."""
        return next(self.parts.embedding.parameters()).device

    @property
    def layer_count(self) -> int:
        """Number of decoder layers."""
        return len(self.parts.layers)


def find_parts(model: PreTrainedModel) -> Parts:
    """The language model's parts, found without naming any family.

    Raises:
        ModelError: the decoder's layers, the unembedding or their number of heads can't be found.
    """
    decoder = model.get_decoder()
    config = decoder.config.get_text_config(decoder=True)
    count = _only(model, config, "num_hidden_layers")
    stacks = [
        module
        for module in decoder.modules()
        if isinstance(module, nn.ModuleList)
        and len(module) == count
        and any(hasattr(part, "layer_idx") for part in module.modules())
    ]
    head = model.get_output_embeddings()
    if not stacks or head is None:
        raise ModelError(
            f"{type(model).__name__} has no stack of {count} decoder layers or no unembedding "
            "that can be found; only models with a decoder language model can be looked into."
        )
    try:
        embedding = model.get_input_embeddings()
    except NotImplementedError as error:
        raise ModelError(f"{type(model).__name__} has no token embedding: {error}") from error
    heads = _only(model, config, "num_attention_heads")
    return Parts(decoder, stacks[0], head, embedding, heads)


def _only(model: PreTrainedModel, config: Any, name: str) -> int:
    """A number of the language model's config that is one for all its layers."""
    try:
        found = getattr(config, name, None)
    except RuntimeError:  # transformers' own, where the number differs from layer to layer
        found = "one for each layer"
    if isinstance(found, int):
        return found
    raise ModelError(
        f"The config of {type(model).__name__} must give one {name} for all layers of its language "
        f"model; it gives {found}. Such a model can't be looked into."
    )
