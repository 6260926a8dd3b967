"""Trials: every intervention on sublayers and attention sources, as a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.experiments.drivers.outputs import (
    Edited,
    OtherImages,
    Outputs,
    Sublayer,
    frozen_outputs,
    outputs,
)
from retinoscope.interventions import Condition, Edge, Site, Write
from retinoscope.interventions.ablate import matched_noise
from retinoscope.tokens import TokenSet


@dataclass(frozen=True, eq=False)
class Trial:
    """One intervention, with what DriverRecord says of it; the clean run is the first."""

    part: str
    layer: int
    value: str
    region: str
    condition: Condition

    @property
    def asked(self) -> bool:
        """Whether questions are answered under it: the controls of the lens are for the lens."""
        alone = self.value in ("noise", "frozen") and self.layer >= 0
        return self.region != "background" and not alone


CLEAN = Trial("none", -1, "", "", ())


def sublayer_trials(
    recording: Recording,
    tokens: TokenSet,
    chosen: Sequence[Sublayer],
    others: OtherImages,
    image_id: int,
    seed: int,
) -> tuple[list[Trial], list[tuple[str, str]]]:
    """Every sublayer alone, and all attentions and all MLPs together.

    Args:
        recording: the clean run.
        tokens: the object's.
        chosen: the sublayers.
        others: what they add in other images.
        image_id: the object's image.
        seed: of the noise.

    Returns:
        The trials; and what can't be had, with the reason.
    """
    values, missing = _values(recording, chosen, others, image_id, seed)
    visual = recording.layout.visual
    behind = tuple(position for position in visual if position not in tokens)
    found: list[Trial] = []
    for value, states in values.items():
        edits = {one: Edited(_write(one.site, visual, visual, states)) for one in chosen}
        found += [Trial(s.part, s.layer, value, "image", (edit,)) for s, edit in edits.items()]
        if value == "noise":
            continue
        for part in ("attention", "mlp"):
            every = tuple(edit for one, edit in edits.items() if one.part == part)
            found.append(Trial(part, -1, value, "image", every))
    if "mean" in values and behind:
        for one in chosen:
            edit = Edited(_write(one.site, behind, visual, values["mean"]))
            found.append(Trial(one.part, one.layer, "mean", "background", (edit,)))
    return found, missing


def _write(
    site: Site, positions: Sequence[int], visual: Sequence[int], states: Outputs
) -> tuple[Write]:
    index = [visual.index(position) for position in positions]
    return (Write(site, tuple(positions), states[site][index]),)


def _values(
    recording: Recording,
    chosen: Sequence[Sublayer],
    others: OtherImages,
    image_id: int,
    seed: int,
) -> tuple[dict[str, Outputs], list[tuple[str, str]]]:
    """By the kind of value what stands in each sublayer's place."""
    clean = outputs(recording, chosen)
    found: dict[str, Outputs] = {"frozen": frozen_outputs(recording, chosen)}
    missing: list[tuple[str, str]] = []
    mean = others.mean(image_id)
    if mean:
        found["mean"] = {site: mean[site].expand_as(state) for site, state in clean.items()}
        found["noise"] = {
            site: state + matched_noise(found["mean"][site] - state, seed + index)
            for index, (site, state) in enumerate(clean.items())
        }
    else:
        missing.append(("mean", "there is no other image to take it over"))
    another = others.another(image_id)
    if another and next(iter(another.values())).shape == next(iter(clean.values())).shape:
        found["resampled"] = another
    elif another:
        missing.append(("resampled", "the other image has another number of visual tokens"))
    else:
        missing.append(("resampled", "there is no other image to take"))
    return found, missing


def source_trials(
    recording: Recording, tokens: TokenSet
) -> tuple[list[Trial], list[tuple[str, str]]]:
    """The object's patches without one source that their attention reads, in every layer.

    A patch always goes on reading itself. What can't be read anyway (later positions of a causal
    model) is no source.
    """
    if recording.fallback is not None:
        return [], [("sources", f"its attention can't be knocked out here: {recording.fallback}")]
    visual, own = set(recording.layout.visual), set(tokens)
    keys: dict[str, set[int]] = {
        "other patches": visual,
        "same object": own,
        "not the object": visual - own,
        "text": set(range(recording.length)) - visual,
    }
    found: list[Trial] = []
    missing: list[tuple[str, str]] = []
    for value, those in keys.items():
        edges = _edges(recording, sorted(own), those)
        if edges:
            found.append(Trial("source", -1, value, "object", (Edited(edges),)))
        else:
            missing.append((value, "the object's patches read none"))
    return found, missing


def _edges(recording: Recording, queries: Sequence[int], keys: set[int]) -> tuple[Edge, ...]:
    """From each query to those of the keys that it reads, itself left out."""
    length = recording.length
    known: dict[int, Mapping[tuple[int, ...], list[int]]] = {}
    edges: list[Edge] = []
    for layer, recorded in enumerate(recording.layers):
        if not isinstance(recorded.mixing, SelfAttention):
            continue
        name = id(recorded.allowed)
        if name not in known:
            known[name] = _read(recorded.allowed[:length, :length], queries, keys)
        edges += [Edge(layer, tuple(those), read) for read, those in known[name].items()]
    return tuple(edges)


def _read(
    allowed: Tensor, queries: Sequence[int], keys: set[int]
) -> dict[tuple[int, ...], list[int]]:
    """Queries by the keys that they read."""
    found: dict[tuple[int, ...], list[int]] = {}
    for query in queries:
        there = torch.nonzero(allowed[query].cpu()).flatten().tolist()
        read = tuple(key for key in there if key in keys and key != query)
        if read:
            found.setdefault(read, []).append(query)
    return found
