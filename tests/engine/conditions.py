"""Six kinds of condition, for a model of any family."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from retinoscope.engine import Recording, Unreplayable
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.interventions import (
    Ablate,
    Condition,
    Context,
    Edge,
    Edits,
    Knockout,
    Noise,
    Patch,
    Steer,
)


@dataclass(frozen=True)
class Cut:
    """Edges as they are: what a user's own intervention may look like."""

    edges: tuple[Edge, ...]

    def edits(self, context: Context) -> Edits:
        """The edges."""
        return self.edges


def conditions(recording: Recording) -> dict[str, list[Condition]]:
    """Every kind by name, each a few conditions."""
    last = recording.length - 1
    seen = list(recording.encoded.layout.visual)
    seen = seen if len(seen) > 2 else list(range(2, last - 2))
    layers, half = attention_layers(recording), len(seen) // 2
    front, back = seen[:half], seen[half:]
    width = recording.residual(0).shape[-1]
    vector = torch.randn(width, generator=torch.Generator().manual_seed(3))
    vector = vector.to(recording.residual(0))
    top = recording.layer_count
    return {
        "last position": [
            (Knockout([last], readable(recording, last, seen, window), window),)
            for window in windows(layers)
        ],
        "heads": [
            (
                Knockout([last], readable(recording, last, back, layers), layers, heads=[0, 3]),
                Knockout(
                    [last - 1], readable(recording, last - 1, back, layers), layers, heads=[1]
                ),
            )
        ],
        "visual rows": [(visual_cut(recording, front, back, layers),)],
        "ablation": [
            (Ablate(front[:2], "zero"),),
            (Ablate(back, vector),),
            (Ablate(seen[-1:], Noise(0)),),
        ],
        "stream": [
            (Patch(back, top // 2, vector),),
            (Steer([last], 1, vector),),
            (Patch([last], top, vector),),
        ],
        "mixed": [
            (
                Patch(seen[-2:], 1, vector),
                Knockout([last], readable(recording, last, front, layers[-1:]), layers[-1:]),
            ),
            (Ablate(front, "zero"), Steer(back, top - 1, vector, scale=2.0)),
        ],
    }


def attention_layers(recording: Recording) -> list[int]:
    """Layers in which positions of the sequence attend to each other."""
    if recording.fallback is not None:
        return list(range(recording.layer_count))
    return [i for i, one in enumerate(recording.layers) if isinstance(one.mixing, SelfAttention)]


def windows(layers: list[int]) -> list[list[int]]:
    """Pairs of layers, and all."""
    return [layers[at : at + 2] for at in range(len(layers))] + [layers]


def readable(recording: Recording, query: int, keys: list[int], layers: list[int]) -> list[int]:
    """Those keys that the query reads in one of the layers; else the key just before it."""
    if recording.fallback is not None:
        return keys
    found = [k for k in keys if any(recording.layers[i].allowed[query, k] for i in layers)]
    return found or [query - 1]


def visual_cut(recording: Recording, front: list[int], back: list[int], layers: list[int]) -> Cut:
    """The rear of the image must not read its front, query by query what it reads at all."""
    edges = []
    for query in back:
        keys = readable(recording, query, front, layers[:2])
        edges += [Edge(layer, (query,), tuple(keys)) for layer in layers[:2]]
    return Cut(tuple(edges))


def slowly(recording: Recording) -> Recording:
    """The same recording, which generates by full forward passes; as it is where it does so."""
    if isinstance(recording.replay, Unreplayable):
        return recording
    slow = replace(recording.replay, generation=Unreplayable("said so"))
    return replace(recording, replay=slow)
