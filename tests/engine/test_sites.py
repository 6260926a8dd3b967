"""Every site of every family: read, written and differentiated as by plain hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from retinoscope.engine import (
    Recording,
    answer,
    capture,
    evaluate,
    generate,
    gradient,
    record,
)
from retinoscope.engine.edits.full import full_logits
from retinoscope.engine.replay.suffix import SuffixAttention
from retinoscope.interventions import Context, Edge, Edits, Site, Write
from retinoscope.interventions.site import LAYER_SITES
from retinoscope.models import Encoded
from tests.engine import families
from tests.engine.conditions import attention_layers, slowly
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
            return Write(site, positions, lambda state: state - 0.5 * state.roll(1, -1))


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
        scale = max(1.0, float(expected.abs().max()))
        assert torch.allclose(state, expected[0], atol=1e-5 * scale), site


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
    idle = [
        str(one.site)
        for one, found in zip(given, outcome.logits, strict=True)
        if recording.length - 1 in one.positions
        and torch.allclose(found, recording.logits, atol=1e-5)
    ]
    assert not idle, "a write that changes nothing proves nothing"


@pytest.mark.parametrize("name", ["llava", "gemma3", "lfm2_vl", "mllama", "qwen2_5_vl"])
def test_writes_of_several_sites_go_together(name: str) -> None:
    """With each other, with knockouts, and while text is generated."""
    recording = record(*families.build(name), max_new_tokens=4)
    assert recording.fallback is None
    every, last = sites(recording), recording.length - 1
    layer = attention_layers(recording)[0]
    cut = Edge(layer, (last,), (last - 1,))
    given = [
        tuple(write(recording, site, seed + 1) for seed, site in enumerate(every[:: 4 + n]))
        for n in range(3)
    ]
    given = [*given, (given[0][1], cut), (*given[1][-2:], cut)]
    asked = [(Raw(edits),) for edits in given]
    logits = evaluate(recording, asked).logits
    for edits, found in zip(given, logits, strict=True):
        assert torch.allclose(found, full_logits(recording, edits)[0], atol=1e-5)
    apart = slowly(recording)
    for found, expected in zip(generate(recording, asked), generate(apart, asked), strict=True):
        assert found.tokens == expected.tokens
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-5)


def test_writes_behind_the_layers() -> None:
    recording = record(*families.build("llava"))
    last, states = recording.length - 1, recording.stream[-1]
    norm = recording.require_replay("This").norm
    head = recording.checkpoint.parts.head
    with torch.no_grad():
        expected = head(norm(states[last]) * 0.5)
    (site, logits) = (Site("final_norm"), Site("lm_head"))
    half = (Write(site, (last - 1, last), lambda state: 0.5 * state),)
    raised = (Write(logits, (last,), lambda state: state + 1.0),)
    for run_it in (
        lambda e: evaluate(recording, [(Raw(e),)]).logits[0],
        lambda e: full_logits(recording, e)[0],
    ):
        assert torch.allclose(run_it(half), expected, atol=1e-5)
        assert torch.allclose(run_it(raised), recording.logits + 1.0, atol=1e-5)


def led(recording: Recording, other: Recording) -> list[Edits]:
    """Paths from another run: all heads, one head of a group, several queries and layers."""
    last = recording.length - 1
    attending = attention_layers(recording)
    owning = [i for i in attending if recording.has(Site("key", i))]
    keys = (last - 5, last - 2)
    cache = capture(other, ["key", "value"], layers=owning, positions=keys)
    sources = {layer: cache.source(layer) for layer in owning}
    first, final = owning[0], owning[-1]
    return [
        (Edge(first, (last,), keys, None, sources[first]),),
        (Edge(final, (last - 1, last), keys, (1,), sources[final]),),
        (
            Edge(first, (last - 1,), keys, (0, 3), sources[first]),
            Edge(first, (last,), keys, None, sources[first]),
        ),
    ]


@pytest.mark.parametrize("name", REPLAYED)
def test_a_patched_path_is_the_plain_way(name: str) -> None:
    checkpoint, encoded = families.build(name)
    recording = record(checkpoint, encoded, max_new_tokens=4)
    ids = encoded.inputs["input_ids"].clone()
    ids[0, [-6, -3]] = torch.tensor([20, 21])
    changed = Encoded({**encoded.inputs, "input_ids": ids}, encoded.layout, "")
    given = led(recording, record(checkpoint, changed))
    found = evaluate(recording, [(Raw(edits),) for edits in given]).logits
    for edits, logits in zip(given, found, strict=True):
        edges = [edit for edit in edits if isinstance(edit, Edge)]
        with torch.no_grad():
            expected = run(checkpoint, encoded, lambda _, __, state: state, edges)[-1]
        scale = max(1.0, float(expected.abs().max()))
        assert torch.allclose(logits, expected, atol=1e-5 * scale)
        assert torch.allclose(full_logits(recording, edits)[0], expected, atol=1e-5 * scale)
        assert not torch.allclose(logits, recording.logits, atol=1e-5)
    if name in ("llava", "gemma3", "qwen2_vl"):
        apart, asked = slowly(recording), [(Raw(e),) for e in given]
        for one, other in zip(generate(recording, asked), generate(apart, asked), strict=True):
            assert one.tokens == other.tokens
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


@pytest.mark.parametrize("name", ["llava", "gemma3", "mllama", "lfm2_vl", "blip2"])
def test_gradients_are_those_of_plain_hooks(name: str) -> None:
    checkpoint, encoded = families.build(name)
    recording = record(checkpoint, encoded)
    chosen = sites(recording)
    moved: dict[Site, Tensor] = {}

    def move(kind: str, at: int, state: Tensor) -> Tensor:
        moved[Site(kind, at)] = torch.zeros_like(state, requires_grad=True)
        return state + moved[Site(kind, at)]

    logits = run(checkpoint, encoded, move)[-1]
    expected = torch.autograd.grad(
        logits[7], [moved[site] for site in chosen], materialize_grads=True
    )
    found = gradient(recording, 7, chosen)
    whole = gradient(recording, lambda row: row[7] * 2.0 + row[3] * 0.0, chosen)
    for site, wanted in zip(chosen, expected, strict=True):
        scale = max(1.0, float(wanted.abs().max()))
        assert torch.allclose(found[site], wanted[0], atol=1e-5 * scale), site
        assert torch.allclose(whole[site], 2 * wanted[0], atol=1e-5 * scale), site
    assert not torch.is_grad_enabled() or all(not g.requires_grad for g in found.values())


def test_a_replay_that_misses_a_site_gives_way_to_the_full_forward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each kind is compared with the full forward on its first condition."""
    recording = record(*families.build("llava"), max_new_tokens=3)
    edits = (write(recording, Site("z", 1), 1),)
    asked = [(Raw(edits),)]
    monkeypatch.setattr(SuffixAttention, "_step", lambda _, __, state: state)
    expected = full_logits(recording, edits)[0]
    assert torch.allclose(evaluate(recording, asked).logits[0], expected, atol=1e-5)
    assert float(generate(recording, asked)[0].probabilities[0]) == pytest.approx(
        float(expected.softmax(-1).max()), abs=1e-5
    )
    (response,) = answer([(recording, asked)])
    assert torch.allclose(response.outcome.logits[0], expected, atol=1e-5)
