"""What the training of a shipped model built in: a verdict on it is none on large models."""

from __future__ import annotations

import json
from collections.abc import Mapping

from retinoscope.results.manifest import ModelIdentity
from retinoscope.shipped import shipped_folder, shipped_models


def built_in(model: ModelIdentity) -> Mapping[str, str]:
    """What the model's training says to each verdict, by the verdict's name.

    Args:
        model: the model that was measured.

    Returns:
        A sentence in the words of its card for each claim that its training touches; empty where
        the model didn't come with the package or its variants, or isn't installed any more.
    """
    if model.name not in shipped_models():
        return {}
    return json.loads((shipped_folder(model.name) / "built_in.json").read_text("utf-8"))


def model_card(model: ModelIdentity) -> str:
    """The card of a shipped model, Markdown without its front matter; "" for any other model."""
    if model.name not in shipped_models():
        return ""
    text = (shipped_folder(model.name) / "README.md").read_text("utf-8")
    return text.split("---\n", 2)[2] if text.startswith("---\n") else text
