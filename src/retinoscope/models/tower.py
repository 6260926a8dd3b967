"""The vision tower that shipped weights were trained behind: named beside them, and checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from torch import nn
from transformers import LlavaForConditionalGeneration

from retinoscope.errors import ModelError

TOWER = "tower.json"
"""Says which tower what lies beside it was trained behind: its model's name and its weights'
SHA-256."""


def tower_name(folder: Path) -> str:
    """The name of the model whose tower the parts of a folder were trained behind.

    Raises:
        ModelError: the folder doesn't say.
    """
    return _told(folder)["model"]


def fingerprint(module: nn.Module) -> str:
    """SHA-256 of a module's weights in half precision, the same on every device."""
    digest = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_tower(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """Make sure that what a folder holds was trained behind a model's vision tower.

    Raises:
        ModelError: it was trained behind another one, or doesn't say which.
    """
    said = _told(folder)["sha256"]
    found = fingerprint(model.model.vision_tower)
    if found != said:
        raise ModelError(
            f"{folder} was trained behind another vision tower (SHA-256 {said[:12]}, this one has "
            f"{found[:12]}); install the versions that were released together."
        )


def _told(folder: Path) -> dict[str, str]:
    try:
        told = json.loads((folder / TOWER).read_text("utf-8"))
        return {name: told[name] for name in ("model", "sha256")}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder} doesn't say which tower it belongs to: {error!r}") from error
