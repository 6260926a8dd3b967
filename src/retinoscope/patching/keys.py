"""Keys and values of a group of positions, of a clean run or under many conditions at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from retinoscope.brief import brief_fields
from retinoscope.engine import Recording, capture
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.evaluate import unproved
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.engine.replay.passes import groups
from retinoscope.engine.replay.replay import replay
from retinoscope.engine.replay.suffix import SuffixAttention
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition, Source


@dataclass(frozen=True, eq=False)
class Keys:
    """Keys and values at some positions, by layer; what `PathPatch` reads from.

    Attributes:
        positions: ascending.
        layers: those of each layer that attends within the sequence.
    """

    positions: tuple[int, ...]
    layers: Mapping[int, Source]

    __repr__ = brief_fields

    def source(self, layer: int) -> Source:
        """Those of one layer.

        Raises:
            InterventionError: the layer has none of its own.
        """
        if layer not in self.layers:
            raise InterventionError(
                f"Layer {layer} has no keys and values of its own, so no path leads through it; "
                "leave it out."
            )
        return self.layers[layer]


def keys_of(recording: Recording, positions: Sequence[int]) -> Keys:
    """Those of the clean run."""
    return keys_under(recording, [()], [tuple(positions)])[0]


@torch.no_grad()
def keys_under(
    recording: Recording, conditions: Sequence[Condition], positions: Sequence[tuple[int, ...]]
) -> list[Keys]:
    """Those of each condition at its own positions.

    Conditions are replayed together, as in `evaluate`; where they can't be, each takes a full
    forward pass.
    """
    check = Checked(recording)
    edits = [check.edits(condition) for condition in conditions]
    if recording.fallback is not None or unproved(recording, edits) is not None:
        return [_captured(recording, *one) for one in zip(conditions, positions, strict=True)]
    found = [_recorded(recording, where) for where in positions]
    for start, members in groups(edits, recording):
        attention = SuffixAttention(recording, start, keep=True)
        _, plan = replay(recording, [edits[i] for i in members], start, attention, wanted=[])
        for layer, batch in enumerate(plan[:-1]):
            if layer not in attention.kept or not batch.edits:
                continue
            keys, values = attention.kept[layer]
            for member, row in zip(*batch.touched(members), strict=True):
                held = found[member].layers
                late = [(i, p - start) for i, p in enumerate(positions[member]) if p >= start]
                if layer in held and late:
                    mine, there = (list(one) for one in zip(*late, strict=True))
                    held[layer].keys[:, mine] = keys[row][:, there]
                    held[layer].values[:, mine] = values[row][:, there]
    return found


def _recorded(recording: Recording, positions: tuple[int, ...]) -> Keys:
    """Copies of the recorded ones, to be written over where a condition changes them."""
    where = list(positions)
    held = {
        layer: Source(mixing.keys[0][:, where].clone(), mixing.values[0][:, where].clone())
        for layer, mixing in enumerate(one.mixing for one in recording.layers)
        if isinstance(mixing, SelfAttention) and mixing.owner is None
    }
    return Keys(positions, held)


def _captured(recording: Recording, condition: Condition, positions: tuple[int, ...]) -> Keys:
    """From one full forward pass."""
    known = capture(recording, ["key", "value"], condition, positions=positions).load()
    layers = {site.layer for site in known if site.layer is not None}
    return Keys(positions, {layer: known.source(layer) for layer in sorted(layers)})
