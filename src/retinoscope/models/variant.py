"""A variant of the embedded model: a decoder and a projector of its own behind the same tower.

The folder holds what was trained for the variant, and names the tower that it was trained behind,
which comes with the package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import LlavaConfig, LlavaForConditionalGeneration

from retinoscope.errors import ModelError
from retinoscope.models.tower import TOWER, check_tower

OWN = "decoder.safetensors"
"""Everything but the tower, by the names that `transformers` gives it."""

_TOWER = "model.vision_tower."


def is_variant(folder: Path) -> bool:
    """Whether a folder holds a variant's own part."""
    return (folder / OWN).is_file() and (folder / TOWER).is_file()


def read_variant(folder: Path, tower: Any) -> LlavaForConditionalGeneration:
    """A variant, put together.

    Args:
        folder: holds `config.json`, `decoder.safetensors` and `tower.json`.
        tower: the model that `tower.json` names, for its vision tower.

    Returns:
        The model in float32.

    Raises:
        ModelError: the folder is not whole, or belongs to another tower.
    """
    try:
        own = {name: weight.float() for name, weight in load_file(folder / OWN).items()}
        config = json.loads((folder / "config.json").read_text("utf-8"))
        model = LlavaForConditionalGeneration(LlavaConfig.from_dict(config)).float()
        seen = {n: w for n, w in tower.state_dict().items() if n.startswith(_TOWER)}
        model.load_state_dict(own | seen)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder} holds no variant of the embedded model: {error}") from error
    check_tower(model, folder)
    model.generation_config = tower.generation_config
    return model.eval()


def own_part(model: LlavaForConditionalGeneration) -> dict[str, torch.Tensor]:
    """What `decoder.safetensors` holds of a model."""
    return {n: w for n, w in model.state_dict().items() if not n.startswith(_TOWER)}
