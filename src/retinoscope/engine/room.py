"""Inputs with room behind the prompt, and inputs with generated tokens behind it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

SUFFIX: Mapping[str, int] = {"token_type_ids": 1}
"""What generated text is to models with a two-way prompt (PaliGemma): not of the prompt's kind."""


def with_room(
    inputs: Mapping[str, Tensor], length: int, room: int, kinds: Mapping[str, int]
) -> dict[str, Tensor]:
    """The prompt's inputs with filler text behind: the last token again, attended, of its kind.

    Every integer input that has one entry for each position is extended: token ids, attention
    mask, token types, cross-attention mask; position ids count on.

    Args:
        inputs: batch of one.
        length: positions of the prompt.
        room: positions to add.
        kinds: what to fill in by name, where it is not what the last position has.
    """
    longer = dict(inputs)
    for name, value in inputs.items() if room else ():
        if name == "position_ids":
            onward = value[..., -1:] + torch.arange(1, room + 1, device=value.device)
            longer[name] = torch.cat([value, onward], dim=-1)
        elif _by_position(value, length):
            filler = value[:, -1:].expand(-1, room, *value.shape[2:])
            if name in kinds:
                filler = torch.full_like(filler, kinds[name])
            longer[name] = torch.cat([value, filler], dim=1)
    return longer


def with_tokens(
    inputs: Mapping[str, Tensor], length: int, tokens: Sequence[int], kinds: Mapping[str, int]
) -> dict[str, Tensor]:
    """The prompt's inputs with generated tokens behind, of an encoder-decoder's own sequence."""
    name = "decoder_input_ids" if "decoder_input_ids" in inputs else "input_ids"
    longer = dict(inputs)
    if name == "input_ids":
        longer = with_room(inputs, length, len(tokens), kinds)
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
