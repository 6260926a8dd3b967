"""The proof, on every recording, that replaying it gives what the model itself would give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

import torch
from torch import nn

from retinoscope.engine.cone import first_changed
from retinoscope.engine.decoding import Decoding
from retinoscope.engine.full import full_logits
from retinoscope.engine.recording import Recording
from retinoscope.engine.replay import replay, run_suffix
from retinoscope.engine.rounding import disagreement
from retinoscope.errors import RetinoscopeError
from retinoscope.interventions import Block, Sites, Write

_verdicts: WeakKeyDictionary[nn.Module, dict[str, str | None]] = WeakKeyDictionary()
"""What each comparison with the full forward said, once for each model while it lives."""

FEW = 4
"""Positions that the empty condition is replayed on."""


def guarded(recording: Recording) -> Recording:
    """The recording, falling back with a reason where the replay is not exact.

    An empty condition must reproduce the clean logits on every recording; three random conditions
    must equal the full forward once for each model.
    """
    if recording.fallback is not None:
        return recording
    reason = _reason(_empty_condition, recording)
    name = "conditions with room" if recording.room else "conditions"
    reason = reason or _once(name, _random_conditions, recording)
    if reason is not None:
        return replace(recording, calls=(), norm=None, fallback=reason)
    if recording.room and recording.generation_fallback is None:
        reason = _once("generation", _generation, recording)
    return recording if reason is None else replace(recording, generation_fallback=reason)


Check = Callable[[Recording], str | None]
"""Says what is wrong with replaying a recording, if something is."""


def _once(name: str, check: Check, recording: Recording) -> str | None:
    known = _verdicts.setdefault(recording.checkpoint.model, {})
    if name not in known:
        known[name] = _reason(check, recording)
    return known[name]


def _reason(check: Check, recording: Recording) -> str | None:
    """What a check says; layers that can't be called in the engine's way are a reason too."""
    try:
        return check(recording)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        return f"its layers can't be called again ({type(error).__name__}: {error})"
    except RetinoscopeError as error:
        return f"its layers can't be called again ({error})"


def _empty_condition(recording: Recording) -> str | None:
    start = max(0, recording.length - FEW)
    hidden = run_suffix(recording, recording.stream[0][None, start:], start)
    found = recording.unembed(hidden[0, -1])
    error = disagreement(found, recording.logits)
    if error is None:
        return None
    return f"replaying the clean run gives other logits than the model (by {error:.2g})"


def _random_conditions(recording: Recording) -> str | None:
    for sites in random_conditions(recording):
        start = first_changed(sites, recording)
        hidden, _ = replay(recording, [sites], start, wanted=[recording.length - 1 - start])
        found = recording.unembed(hidden[0, -1])
        error = disagreement(found, full_logits(recording, sites)[0])
        if error is not None:
            return f"a random condition differs from the full forward (by {error:.2g})"
    return None


def _generation(recording: Recording) -> str | None:
    sites = random_conditions(recording)[-1]
    decoding = Decoding(recording, [sites])
    tokens: list[int] = []
    for _ in range(min(2, recording.room - 1)):
        token = decoding.logits.argmax(-1)
        tokens.append(int(token))
        decoding.feed(token)
        found = decoding.logits[0].to(recording.logits.dtype)
        error = disagreement(found, full_logits(recording, sites, tokens=tokens)[0])
        if error is not None:
            return f"a generated token differs from the full forward (by {error:.2g})"
    return None


def random_conditions(recording: Recording, seed: int = 0) -> list[Sites]:
    """A write at the input, a write in the middle with a knockout, and a knockout of one head."""
    generator = torch.Generator().manual_seed(seed)
    length, layers = recording.length, recording.layer_count

    def noise(place: int, position: int) -> Write:
        clean = recording.stream[place][[position]]
        vector = torch.randn(clean.shape, generator=generator).to(clean)
        return Write(place, (position,), vector * clean.norm() / vector.norm())

    def draw(top: int) -> int:
        return int(torch.randint(max(1, top), (1,), generator=generator))

    def knockout(layer: int, heads: tuple[int, ...] | None) -> tuple[Block, ...]:
        if recording.calls[layer].mixing != "attention":
            return ()
        row = recording.calls[layer].allowed[length - 1, :length]
        keys = torch.nonzero(row).flatten().tolist()[:-1]
        chosen = tuple(keys[:: 1 + draw(2)])
        return (Block(layer, (length - 1,), chosen, heads),) if chosen else ()

    middle = layers // 2
    deep = [i for i, c in enumerate(recording.calls) if c.mixing == "attention"][-1:]
    cases = [
        Sites((noise(0, draw(length)),)),
        Sites((noise(middle, draw(length)),), knockout(layers - 1, None)),
        Sites((), knockout(deep[0] if deep else 0, (draw(recording.head_count),))),
    ]
    return [sites for sites in cases if sites.writes or sites.blocks]
