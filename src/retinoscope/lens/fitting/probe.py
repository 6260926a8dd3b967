"""The linear probe: ridge regression from an object patch's state to the word of its object.

Sums over patches are enough for it, so that it needs no second look at an image. The control is the
same with the word of another object of the data (selectivity: Hewitt & Liang 2019, 1909.03368).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.errors import ModelError
from retinoscope.lens.fitting.example import Example
from retinoscope.lens.fitting.state import State

RIDGE = 1e-2
"""The penalty, as a share of the mean variance of a dimension times the number of patches."""


def begin(recording: Recording, words: Sequence[int]) -> State:
    """No patch yet."""
    places, width = recording.layer_count + 1, recording.stream[0].shape[-1]
    exact = torch.float64
    return {
        "products": torch.zeros(places, width, width, dtype=exact),
        "sums": torch.zeros(places, width, dtype=exact),
        "by word": torch.zeros(places, len(words), width, dtype=exact),
        "patches": torch.zeros(len(words), dtype=exact),
        "tokens": torch.tensor(words),
    }


def with_labels(state: State, example: Example) -> State:
    """The sums with the patches of one image more."""
    return _added(state, example, shuffled=False)


def with_shuffled(state: State, example: Example) -> State:
    """The same under shuffled labels."""
    return _added(state, example, shuffled=True)


def finish(state: State, words: Sequence[int]) -> dict[str, Tensor]:
    """The directions of every word at every place; the offsets make up for means and frequencies.

    Each word's target is 1 on its patches and 0 elsewhere; states and targets are centred. Words
    without a patch have no chance: their direction is zero and their offset low.

    Raises:
        ModelError: no patch of any word was seen.
    """
    count = state["patches"].sum()
    if not count:
        raise ModelError(
            "A probe is fitted on patches of objects, and the images had none of a class that the "
            "tokenizer can spell; give data with objects and their masks."
        )
    mean = state["sums"] / count
    spread = state["products"] - count * mean[:, :, None] * mean[:, None, :]
    shares = state["patches"] / count
    along = state["by word"] - state["patches"][None, :, None] * mean[:, None, :]
    width = spread.shape[-1]
    size = torch.diagonal(spread, dim1=1, dim2=2).mean(-1).clamp_min(1e-12)
    penalty = RIDGE * size[:, None, None] * torch.eye(width, dtype=spread.dtype)
    directions = torch.linalg.solve(spread + penalty, along.transpose(1, 2)).transpose(1, 2)
    offsets = shares - (directions * mean[:, None]).sum(-1)
    never = state["patches"] == 0
    return {
        "tokens": state["tokens"],
        "directions": directions.masked_fill(never[None, :, None], 0.0),
        "offsets": offsets.masked_fill(never[None], -1.0),
    }


def _added(state: State, example: Example, *, shuffled: bool) -> State:
    found = {name: tensor.clone() for name, tensor in state.items()}
    tokens = state["tokens"].tolist()
    for one in example.objects:
        word = one.shuffled if shuffled else one.token
        if word not in tokens:
            continue
        index = tokens.index(word)
        where = list(one.positions)
        states = torch.stack([s[where].detach().double().cpu() for s in example.recording.stream])
        found["products"] += states.transpose(1, 2) @ states
        found["sums"] += states.sum(1)
        found["by word"][:, index] += states.sum(1)
        found["patches"][index] += len(where)
    return found
