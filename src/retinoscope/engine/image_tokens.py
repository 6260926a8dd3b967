"""Image tokens that a model generates: words like others, not pieces of an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from retinoscope.engine.finish import text_config
from retinoscope.errors import ModelError
from retinoscope.models import Checkpoint
from retinoscope.tokens import TokenLayout

MEDIA = ("image", "video", "visual", "vision", "img")
"""Parts of the names that configurations give to tokens of images."""


@contextmanager
def as_words(
    checkpoint: Checkpoint, inputs: Mapping[str, Tensor], layout: TokenLayout
) -> Iterator[Mapping[str, Tensor]]:
    """Inputs for a full forward in which image tokens behind the prompt are embedded as words.

    Models count the image tokens of a sequence and refuse another number than they have features
    for; when they generate, they are fed one token at a time and embed it. So the model is given
    the prompt's last word in its place, whose embedding is exchanged.

    Args:
        checkpoint: the model.
        inputs: of the prompt with generated tokens behind.
        layout: of the prompt.

    Raises:
        ModelError: the tokens are read elsewhere too, or the embedding was not reached.
    """
    ids = inputs["input_ids"]
    behind = _behind(ids, layout, checkpoint)
    if not behind:
        yield inputs
        return
    image = ids[:, behind]
    if getattr(text_config(checkpoint), "hidden_size_per_layer_input", 0):
        raise ModelError(
            f"{checkpoint.name} generated its own image token ({int(image[0, 0])}), which can't be "
            "given to it in one pass: each of its layers reads the tokens. Generate fewer tokens "
            "(room=...), or leave this condition out."
        )
    reached = False

    def exchange(embedding: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        nonlocal reached
        if args[0].shape != ids.shape:
            return output
        reached = True
        changed = output.clone()
        changed[:, behind] = embedding.forward(image.to(args[0].device)).to(output)
        return changed

    hook = checkpoint.parts.embedding.register_forward_hook(exchange)
    try:
        other = ids.clone()
        other[:, behind] = ids[:, [layout.text[-1]]]
        yield {**inputs, "input_ids": other}
    finally:
        hook.remove()
    if not reached:
        raise ModelError(
            f"{checkpoint.name} generated its own image token ({int(image[0, 0])}), and its "
            "embedding could not be reached to give it back as a word. Generate fewer tokens."
        )


def _behind(ids: Tensor, layout: TokenLayout, checkpoint: Checkpoint) -> list[int]:
    """Positions behind the prompt of tokens that stand for an image, or around one, in it."""
    shown = {*ids[0, list(layout.visual)].tolist(), *tokens_of_images(checkpoint)}
    generated = ids[0, layout.length :].tolist()
    return [layout.length + at for at, token in enumerate(generated) if token in shown]


def tokens_of_images(checkpoint: Checkpoint) -> set[int]:
    """Token ids that a configuration gives to images, videos and what stands around them.

    Some of them mean more than a word to the model where it reads a whole sequence (Ovis2's
    indicators are embedded by the vision tower).
    """
    return {
        token
        for config in (checkpoint.model.config, text_config(checkpoint))
        for name, tokens in named_tokens(config).items()
        if any(medium in name for medium in MEDIA)
        for token in tokens
    }


def named_tokens(config: object) -> dict[str, tuple[int, ...]]:
    """The token ids that a configuration names, by the names it gives them."""
    found: dict[str, tuple[int, ...]] = {}
    for name, value in vars(config).items():
        if "token" in name:
            several = value if isinstance(value, list | tuple) else [value]
            found[name] = tuple(token for token in several if type(token) is int)
    return found
