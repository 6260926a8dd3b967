"""What the embedded model's training built in: a verdict on it is none on large models."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from retinoscope.results.manifest import ModelIdentity

EMBEDDED = "embedded"

_SENTENCES = {
    "Localisation": "That this model loses a thing with its tokens is therefore trained, too, and "
    "no evidence about large models.",
    "Refinement": "That object patches decode to their word in the later layers of this model is "
    "therefore a consequence of how it was trained, not evidence about large models.",
    "Extraction": "That the answer is read from the thing's tokens in these layers is therefore "
    "trained as well.",
}
"""By verdict, in the words of the model card."""


def built_in(model: ModelIdentity) -> Mapping[str, str]:
    """What the model's training says to each verdict, by the verdict's name.

    Args:
        model: the model that was measured.

    Returns:
        A sentence of its card for each of the three claims; empty where the model isn't the
        embedded one.
    """
    return _SENTENCES if model.name == EMBEDDED else {}


def model_card() -> str:
    """The embedded model's card, Markdown without its front matter."""
    text = (files("retinoscope") / "models" / "embedded" / "README.md").read_text("utf-8")
    return text.split("---\n", 2)[2]
