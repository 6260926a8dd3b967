"""A family: how one kind of VLM lays an image out and how it is spoken to."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from retinoscope.errors import ModelError
from retinoscope.geometry import PatchGrid

Geometry = Callable[[Any, Any, tuple[int, int], Mapping[str, Any], int], PatchGrid]
"""(model config, processor, original (width, height), processor outputs, image index) -> grid."""


@dataclass(frozen=True)
class Family:
    """One kind of VLM; each is one file in `retinoscope.models.families` with a FAMILY constant.

    Attributes:
        name: what people call it.
        model_types: `config.model_type` of the checkpoints that belong to it.
        grid: the geometry of one image, from the same numbers that the processor used.
        prompt: the prompt's form where the processor brings no chat template; "{image}" and
            "{question}" are filled in.
    """

    name: str
    model_types: tuple[str, ...]
    grid: Geometry
    prompt: str = "USER: {image}\n{question} ASSISTANT:"


def families() -> dict[str, Family]:
    """Every family by model type, one module of `retinoscope.models.families` each."""
    package = importlib.import_module("retinoscope.models.families")
    modules = [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for module in pkgutil.iter_modules(package.__path__)
    ]
    return {kind: module.FAMILY for module in modules for kind in module.FAMILY.model_types}


def family_of(model_type: str) -> Family:
    """The family of a model type.

    Raises:
        ModelError: no family file covers it.
    """
    known = families()
    if model_type not in known:
        raise ModelError(
            f"No family describes how a {model_type!r} model lays images out; known are "
            f"{', '.join(sorted(known))}. Add one file to retinoscope/models/families."
        )
    return known[model_type]
