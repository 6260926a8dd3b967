"""LatentLens: the states that words have in texts about images, at every layer (2602.00462)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.lens.fitting.example import Example
from retinoscope.lens.fitting.state import State

CONTEXTS = 4
"""Texts of which a word's states are kept."""


def begin(recording: Recording, words: Sequence[int]) -> State:
    """No text yet."""
    places, width = recording.layer_count + 1, recording.stream[0].shape[-1]
    return {
        "tokens": torch.zeros(0, dtype=torch.long),
        "states": torch.zeros(0, places, width),
    }


def with_texts(state: State, example: Example) -> State:
    """The states of the words of one image's texts, of each word of at most CONTEXTS texts."""
    tokens, states = state["tokens"].tolist(), [state["states"]]
    for recording in example.texts:
        ids = recording.encoded.inputs["input_ids"][0].tolist()
        held = torch.stack([one.detach().float().cpu() for one in recording.stream], 1)
        for token, position in {ids[p]: p for p in recording.layout.text}.items():
            if tokens.count(token) < CONTEXTS:
                tokens.append(token)
                states.append(held[[position]])
    return {"tokens": torch.tensor(tokens, dtype=torch.long), "states": torch.cat(states)}


def finish(state: State, words: Sequence[int]) -> dict[str, Tensor]:
    """All states of all places side by side, each of length 1; a vocabulary of other words is left.

    With words given, only their states are kept.
    """
    kept = torch.isin(state["tokens"], torch.tensor(words)) if words else state["tokens"] >= 0
    states, tokens = state["states"][kept], state["tokens"][kept]
    flat = states.flatten(0, 1)
    return {
        "tokens": tokens.repeat_interleave(states.shape[1]),
        "states": flat / flat.norm(dim=-1, keepdim=True).clamp_min(1e-12),
    }
