"""Inputs with text behind the prompt: filler to record, or tokens that were generated."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from retinoscope.engine.recording.vocabulary import text_config
from retinoscope.errors import ModelError
from retinoscope.models import Checkpoint
from retinoscope.tokens import TokenLayout

GENERATED_TYPES: Mapping[str, int] = {"token_type_ids": 1}
"""What generated text is to models with a two-way prompt (PaliGemma): not of the prompt's kind."""


def with_filler(
    inputs: Mapping[str, Tensor], length: int, count: int, text_types: Mapping[str, int]
) -> dict[str, Tensor]:
    """The prompt's inputs with filler text behind: the last token again, attended, of its kind.

    Every integer input that has one entry for each position is extended: token ids, attention
    mask, token types, cross-attention mask; position ids count on.

    Args:
        inputs: batch of one.
        length: positions of the prompt.
        count: positions to add.
        text_types: what to fill in by name, where it is not what the last position has.
    """
    longer = dict(inputs)
    for name, value in inputs.items() if count else ():
        if name == "position_ids":
            onward = value[..., -1:] + torch.arange(1, count + 1, device=value.device)
            longer[name] = torch.cat([value, onward], dim=-1)
        elif _by_position(value, length):
            filler = value[:, -1:].expand(-1, count, *value.shape[2:])
            if name in text_types:
                filler = torch.full_like(filler, text_types[name])
            longer[name] = torch.cat([value, filler], dim=1)
    return longer


def with_tokens(
    inputs: Mapping[str, Tensor], length: int, tokens: Sequence[int], text_types: Mapping[str, int]
) -> dict[str, Tensor]:
    """The prompt's inputs with generated tokens behind, of an encoder-decoder's own sequence."""
    name = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    longer = dict(inputs)
    if name == "input_ids":
        longer = with_filler(inputs, length, len(tokens), text_types)
    given = inputs[name]
    added = torch.tensor([list(tokens)], dtype=given.dtype, device=given.device)
    return longer | {name: torch.cat([given, added], dim=1)}


def keeping(model: nn.Module, rows: int) -> dict[str, Tensor]:
    """Asks the model for the logits of its last positions alone, where it can be asked that.

    By index, not by number: given a number, models whose later layers share keys and values
    (Gemma 4) run those layers on these positions alone, and the others' states are never there.
    """
    known = inspect.signature(model.forward).parameters
    return {"logits_to_keep": torch.arange(-rows, 0)} if "logits_to_keep" in known else {}


def _by_position(value: Tensor, length: int) -> bool:
    return value.ndim >= 2 and value.shape[1] == length and not value.is_floating_point()


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
            "(max_new_tokens=...), or leave this condition out."
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
