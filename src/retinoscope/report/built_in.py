"""What the embedded model's training built in: a verdict on it is none on large models."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from retinoscope.report.parts import every_part
from retinoscope.results.manifest import ModelIdentity

EMBEDDED = "embedded"


def built_in(model: ModelIdentity) -> Mapping[str, str]:
    """What the model's training says to each verdict, by the verdict's name.

    Args:
        model: the model that was measured.

    Returns:
        A sentence in the words of its card for each claim that its training touches; empty where
        the model isn't the embedded one.
    """
    if model.name != EMBEDDED:
        return {}
    return {name: text for part in every_part() for name, text in part.report.built_in.items()}


def model_card() -> str:
    """The embedded model's card, Markdown without its front matter."""
    text = (files("retinoscope") / "models" / "embedded" / "README.md").read_text("utf-8")
    return text.split("---\n", 2)[2]
