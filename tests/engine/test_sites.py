"""Every site of every family: read, written and differentiated as by plain hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from retinoscope.engine import Recording, capture, evaluate, record
from retinoscope.engine.full import full_logits
from retinoscope.interventions import Context, Edits, Site, Write
from retinoscope.interventions.site import LAYER_SITES
from tests.engine import families
from tests.engine.site_oracle import run
from tests.engine.test_families import FALLING_BACK

REPLAYED = [name for name in families.BUILDERS if name not in FALLING_BACK]


@dataclass(frozen=True, eq=False)
class Raw:
    """Edits as they are."""

    made: Edits

    def edits(self, context: Context) -> Edits:
        """The edits."""
        return self.made


def sites(recording: Recording) -> list[Site]:
    every = [Site(name, at) for at in range(recording.layer_count) for name in LAYER_SITES]
    return [site for site in every if recording.has(site)]


def write(recording: Recording, site: Site, seed: int) -> Write:
    """Vectors, added vectors or a function, at a few positions of the second half."""
    draw = torch.Generator().manual_seed(seed)
    last = recording.length - 1
    positions = (last - 3, last) if seed % 2 else (last - 5, last - 4)
    shape = (len(positions), *recording.state_shape(site))
    vectors = torch.randn(shape, generator=draw)
    match seed % 3:
        case 0:
            weights = site.name == "attn_probs"
            return Write(site, positions, vectors.softmax(-1) if weights else vectors)
        case 1:
            return Write(site, positions, 0.3 * vectors, add=True)
        case _:
            return Write(site, positions, lambda state: 0.5 * state + 0.1)


def carried_out(one: Write, state: Tensor) -> Tensor:
    at = list(one.positions)
    state = state.clone()
    there = state[..., at, :] if state.ndim == 4 and one.site.name.startswith("resid") else None
    old = state[:, at] if there is None else there
    value: Any = one.value(old[0])[None] if callable(one.value) else one.value
    state[:, at] = old + value if one.add else value
    return state


def plainly(recording: Recording, edits: Edits) -> Tensor:
    """The next token's logits, the plain way."""

    def visit(name: str, at: int, state: Tensor) -> Tensor:
        for edit in edits:
            if isinstance(edit, Write) and edit.site == Site(name, at):
                state = carried_out(edit, state)
        return state

    with torch.no_grad():
        return run(recording.checkpoint, recording.encoded, visit)[-1]


@pytest.mark.parametrize("name", families.BUILDERS)
def test_what_is_captured_is_what_plain_hooks_see(name: str) -> None:
    checkpoint, encoded = families.build(name)
    recording = record(checkpoint, encoded)
    seen: dict[Site, Tensor] = {}

    def see(kind: str, at: int, state: Tensor) -> Tensor:
        if Site(kind, at) not in seen:
            seen[Site(kind, at)] = state.detach().clone()
        return state

    with torch.no_grad():
        run(checkpoint, encoded, see)
    found = capture(recording, sites(recording)).load()
    assert set(found) <= set(seen)
    for site, state in found.items():
        expected = seen[site]
        if expected.ndim == 4 and site.name.startswith("resid"):
            expected = expected[0]
        assert state.shape == expected[0].shape, site
        assert torch.allclose(state, expected[0], atol=1e-5), site


@pytest.mark.parametrize("name", REPLAYED)
def test_what_is_written_is_what_plain_hooks_write(name: str) -> None:
    checkpoint, encoded = families.build(name)
    recording = record(checkpoint, encoded)
    assert recording.fallback is None
    given = [write(recording, site, seed) for seed, site in enumerate(sites(recording))]
    outcome = evaluate(recording, [(Raw((one,)),) for one in given])
    for one, found in zip(given, outcome.logits, strict=True):
        expected = plainly(recording, (one,))
        scale = max(1.0, float(expected.abs().max()))
        assert float((found - expected).abs().max()) / scale <= 1e-5, str(one.site)
        full = full_logits(recording, (one,))[0]
        assert float((full - expected).abs().max()) / scale <= 1e-5, str(one.site)
    layers = recording.layer_count
    moved = [
        float((found - recording.logits).abs().max())
        for one, found in zip(given, outcome.logits, strict=True)
        if one.site.layer != layers - 1
    ]
    assert min(moved) > 1e-5, "a write that changes nothing proves nothing"
