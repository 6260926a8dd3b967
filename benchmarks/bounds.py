"""What counting floating-point operations predicts that recomputing the cone alone can save."""

from __future__ import annotations

from typing import Any

from benchmarks.work import Change, Work


def bound(config: Any, length: int, work: Work) -> float | None:
    """Operations of one full forward for each condition, over one recording and all cones.

    None where the saving does not come from a cone (lens, gradients).

    Args:
        config: of the model.
        length: positions of the prompt.
        work: with its conditions.
    """
    if work.kind not in ("next token", "captions"):
        return None
    text = config.text_config
    step = text.num_hidden_layers * _layer(text, 1, length) + _head(text)
    full = _vision(config) + text.num_hidden_layers * _layer(text, length, length) + _head(text)
    recordings = 2 if any(change.exchange for change in work.changes) else 1
    cones = sum(_cone(text, length, change) for change in work.changes)
    behind = len(work.changes) * work.tokens * step
    return (len(work.changes) * full + behind) / (recordings * full + cones + behind)


def _cone(text: Any, length: int, change: Change) -> float:
    first, layer = (min(change.ablate), 0) if change.ablate else (0, 0)
    if change.cut is not None:
        first, layer = min(change.cut.queries), min(change.cut.layers)
    if change.exchange is not None:
        first, layer = min(change.exchange.positions), change.exchange.layer
    whole = text.num_hidden_layers - 1 - layer
    # In the last layer all positions give keys and values, the last one alone goes on.
    keys = 4 * (length - first) * text.hidden_size**2
    last = keys + _layer(text, 1, length)
    return whole * _layer(text, length - first, length) + last + _head(text)


def _layer(text: Any, queries: int, keys: int) -> float:
    """One decoder layer on the last positions; they read half of each other on average."""
    width = text.hidden_size
    linear = 2 * queries * (4 * width**2 + 3 * width * text.intermediate_size)
    return linear + 4 * width * queries * (keys - queries / 2)


def _head(text: Any) -> float:
    return 2 * text.hidden_size * text.vocab_size


def _vision(config: Any) -> float:
    tower = config.vision_config
    count = (tower.image_size // tower.patch_size) ** 2 + 1
    width = tower.hidden_size
    linear = 2 * count * (4 * width**2 + 2 * width * tower.intermediate_size)
    return tower.num_hidden_layers * (linear + 4 * width * count**2)
