"""Sweeps and paths between two runs equal plain full forwards with hooks; approximations' laws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from retinoscope.engine import gradient, record
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions import Edge, Site, SitePatch, Source, resolve
from retinoscope.patching import (
    DIRECTIONS,
    Cell,
    Direction,
    Pair,
    Path,
    agreement,
    approximated,
    cells,
    exact,
    pair,
    paths,
)
from retinoscope.patching.relevance import relevance_rules
from retinoscope.tokens import TokenLayout
from tests.engine import families
from tests.engine.site_oracle import run

FAMILIES = ("llava", "qwen3_vl", "gemma3", "paligemma", "gpt_oss_text", "florence2")
"""A plain grid, additions between layers, image blocks, a prefix, sinks, one that falls back."""

RIGHT, WRONG = 20, 30


def pair_of(name: str, spread: float = 1.0) -> Pair:
    """A family's prompt, and the same with another image (or other words, without one)."""
    checkpoint, encoded = families.build(name)
    generator = torch.Generator().manual_seed(3)
    changed = dict(encoded.inputs)
    images = [key for key, value in changed.items() if value.is_floating_point()]
    for key in images:
        noise = torch.randn(changed[key].shape, generator=generator)
        changed[key] = changed[key] + spread * noise
    if not images:
        changed["input_ids"] = changed["input_ids"].clone()
        changed["input_ids"][0, 3:6] += 40
    other = replace(encoded, inputs=changed)
    return pair(record(checkpoint, encoded), record(checkpoint, other), RIGHT, WRONG)


def groups_of(runs: Pair) -> dict[str, tuple[int, ...]]:
    length = runs.clean.length
    visual = runs.clean.layout.visual or (3, 4, 5)
    return {
        "some": tuple(visual[: len(visual) // 2 + 1]),
        "text": tuple(p for p in range(length - 4, length - 1) if p not in visual),
        "last": (length - 1,),
    }


def states(recording: Any, names: tuple[str, ...]) -> dict[tuple[str, int], Tensor]:
    """Of one plain forward, the states of some sites, [positions, ...]."""
    found: dict[tuple[str, int], Tensor] = {}

    def visit(name: str, at: int, state: Tensor) -> Tensor:
        if name in names:
            found[name, at] = state[0].clone()
        return state

    run(recording.checkpoint, recording.encoded, visit)
    return found


def plain(runs: Pair, cell: Cell, known: dict[tuple[str, int], Tensor]) -> float:
    """One cell by a full forward with hooks."""
    base, where = runs.base(cell.direction), list(cell.positions)
    wanted = ("resid_pre", cell.layer) if cell.head < 0 else ("z", cell.layer)

    def visit(name: str, at: int, state: Tensor) -> Tensor:
        if (name, at) != wanted:
            return state
        state = state.clone()
        if cell.head < 0:
            state[0, where] = known[wanted][where]
        else:
            state[0, where, cell.head] = known[wanted][where, cell.head]
        return state

    return float(runs.difference(run(base.checkpoint, base.encoded, visit)[-1]))


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_every_cell_equals_a_full_forward_with_hooks(name: str) -> None:
    runs, told = pair_of(name), list[tuple[int, int]]()
    groups = groups_of(runs)
    asked = cells(groups, range(runs.clean.layer_count), (), DIRECTIONS)
    asked += cells(groups, (0, runs.clean.layer_count - 1), (1, 3), DIRECTIONS)
    found = exact(runs, asked, lambda done, every: told.append((done, every)))
    assert told[-1] == (len(asked), len(asked)) and len(told) > 1
    known = {d: states(runs.source(d), ("resid_pre", "z")) for d in DIRECTIONS}
    expected = [plain(runs, cell, known[cell.direction]) for cell in asked]
    torch.testing.assert_close(found, torch.tensor(expected), atol=2e-5, rtol=1e-4)
    assert found.unique().numel() > len(asked) // 3


@pytest.mark.parametrize("name", ("llava", "gemma3"))
def test_a_whole_sequence_exchanged_is_the_other_run(name: str) -> None:
    runs = pair_of(name)
    every, places = tuple(range(runs.clean.length)), range(runs.clean.layer_count + 1)
    asked = cells({"all": every, "last": every[-1:]}, places, (), DIRECTIONS)
    share = runs.normalised(exact(runs, asked))
    for cell, found in zip(asked, share.tolist(), strict=True):
        if cell.group == "all" or cell.layer == runs.clean.layer_count:
            assert found == pytest.approx(float(cell.direction == "denoising"), abs=1e-4)


@pytest.mark.parametrize("name", ("llava", "qwen3_vl", "gemma3", "gpt_oss_text", "lfm2_vl"))
@torch.no_grad()
def test_a_path_of_two_steps_equals_two_forwards_with_hooks(name: str) -> None:
    runs = pair_of(name)
    groups = groups_of(runs)
    near = runs.clean.length - 6  # within Gemma 3's sliding window
    hops = ((near, near + 1), groups["text"], groups["last"])
    asked = [
        Path(direction, layers, hops[:steps])
        for direction in DIRECTIONS
        for layers in (((1,),) if name == "lfm2_vl" else ((0,), (1,), (1, 2)))
        for steps in (2, 3)
    ]
    found = paths(runs, asked)
    expected = [_plain_path(runs, path) for path in asked]
    torch.testing.assert_close(found, torch.tensor(expected), atol=2e-5, rtol=1e-4)
    assert len(set(found.round(decimals=3).tolist())) >= 4


def _plain_path(runs: Pair, path: Path) -> float:
    base = runs.base(path.direction)
    given = states(runs.source(path.direction), ("key", "value"))
    logits, layers = base.logits[None], path.layers
    for step in range(1, len(path.hops)):
        keys, queries = path.hops[step - 1], path.hops[step]
        edges = [
            Edge(
                layer,
                queries,
                keys,
                source=Source(*(given[n, layer][list(keys)].transpose(0, 1) for n in KV)),
            )
            for layer in layers
            if ("key", layer) in given  # not a convolution
        ]
        seen: dict[tuple[str, int], Tensor] = {}

        def visit(name: str, at: int, state: Tensor, seen: dict = seen) -> Tensor:
            if name in KV:
                seen[name, at] = state[0].clone()
            return state

        logits = run(base.checkpoint, base.encoded, visit, edges)
        given, layers = seen, tuple(range(path.layers[0] + step, base.layer_count))
    return float(runs.difference(logits[-1]))


KV = ("key", "value")


def test_a_planted_path_is_found_and_no_other() -> None:
    """Attention writes in one layer alone, so only a direct reading in that layer can matter."""
    runs = pair_of("llava")
    for layer, module in enumerate(runs.clean.checkpoint.parts.layers):
        if layer != 2:
            module.self_attn.o_proj.weight.data.zero_()  # pyright: ignore
    one, other = (record(r.checkpoint, r.encoded) for r in (runs.clean, runs.corrupt))
    runs = pair(one, other, RIGHT, WRONG)
    visual, last = runs.clean.layout.visual, (runs.clean.length - 1,)
    text = tuple(range(visual[-1] + 1, last[0]))
    direct = [Path("denoising", (layer,), (visual, last)) for layer in range(4)]
    around = [Path("denoising", (layer,), (visual, text, last)) for layer in range(3)]
    share = runs.normalised(paths(runs, [*direct, *around]))
    torch.testing.assert_close(share, torch.tensor([0, 0, 1.0, 0, 0, 0, 0]), atol=1e-4, rtol=0)
    swept = cells({"image": visual, "last": last}, range(4), (), ("denoising",))
    carried = runs.normalised(exact(runs, swept))
    expected = torch.tensor([1, 1, 1, 0, 0, 0, 0, 1.0])
    torch.testing.assert_close(carried, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", ("attribution", "eap_ig"))
def test_a_small_change_is_approximated_to_first_order(method: Any) -> None:
    runs = pair_of("llava", spread=1e-2)
    asked = cells(groups_of(runs), range(4), (), DIRECTIONS)
    asked += cells({"last": (runs.clean.length - 1,)}, range(4), range(4), DIRECTIONS)
    own, theirs = exact(runs, asked), approximated(runs, asked, method)
    starts = {d: float(runs.difference(runs.base(d).logits)) for d in DIRECTIONS}
    before = torch.tensor([starts[cell.direction] for cell in asked])
    found = agreement(
        runs.normalised(own - before + runs.ends[1]).double().numpy(),
        runs.normalised(theirs - before + runs.ends[1]).double().numpy(),
    )
    assert found.rank_correlation is not None and found.rank_correlation > 0.98
    assert found.slope == pytest.approx(1, abs=0.05)


def test_integrated_gradients_over_everything_are_complete() -> None:
    runs = pair_of("llava", spread=0.3)
    every = tuple(range(runs.clean.length))
    asked = cells({"all": every}, (0,), (), DIRECTIONS)
    found = runs.normalised(approximated(runs, asked, "eap_ig", steps=40))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]), atol=0.02, rtol=0)


@pytest.mark.parametrize("name", ("llava", "qwen3_vl", "gemma3"))
def test_relevance_is_conserved_where_nothing_is_read(name: str) -> None:
    """Without attention and biases every rule hands on exactly what it was given."""
    runs = pair_of(name)
    recording = runs.clean
    for module in recording.checkpoint.parts.layers:
        module.self_attn.o_proj.weight.data.zero_()  # pyright: ignore
    recording = record(recording.checkpoint, recording.encoded)
    with relevance_rules(recording):
        again = record(recording.checkpoint, recording.encoded)
        slopes = gradient(recording, runs.difference, "resid_pre", positions=[-1 % again.length])
    torch.testing.assert_close(again.logits, recording.logits, atol=1e-5, rtol=1e-5)
    expected = float(runs.difference(recording.logits))
    if recording.require_replay("This").logit_transform(torch.tensor([40.0])).item() != 40.0:
        pytest.skip("its logits are capped, which no rule is for")
    for site, slope in slopes.items():
        state = recording.residual(site.layer or 0)[-1]
        assert float((state * slope[0]).sum()) == pytest.approx(expected, abs=1e-4)
    plainly = gradient(recording, runs.difference, "resid_pre.0", positions=[again.length - 1])
    (slope,) = plainly.values()
    state = recording.residual(0)[-1]
    assert abs(float((state * slope[0]).sum()) - expected) > 1e-2, "the rules change nothing"


def test_agreement_tells_size_sign_and_rank() -> None:
    own = np.array([0.5, -0.2, 0.1, 0.0])
    found = agreement(own, 2 * own)
    assert (found.n, found.signs) == (4, 3)
    assert found.rank_correlation == pytest.approx(1)
    assert found.slope == pytest.approx(2)
    assert found.sign_agreement == 1
    assert found.error == pytest.approx(0.2)
    against = agreement(own, -own)
    assert (against.sign_agreement, against.rank_correlation) == (0, pytest.approx(-1))
    nothing = agreement(np.zeros(4), own)
    assert (nothing.slope, nothing.sign_agreement, nothing.rank_correlation) == (None, None, None)


def test_runs_that_can_not_be_exchanged_are_refused() -> None:
    runs = pair_of("llava")
    clean, corrupt = runs.clean, runs.corrupt
    with pytest.raises(SelectionError, match="two models"):
        pair(clean, pair_of("llava").clean, RIGHT, WRONG)
    with pytest.raises(SelectionError, match="positions: 26 and 25"):
        layout = TokenLayout(corrupt.length - 1, corrupt.layout.spans)
        shorter = replace(corrupt, encoded=replace(corrupt.encoded, layout=layout))
        pair(clean, shorter, RIGHT, WRONG)
    with pytest.raises(SelectionError, match="needs two tokens"):
        pair(clean, corrupt, RIGHT, RIGHT)
    with pytest.raises(SelectionError, match="nothing between them"):
        pair(clean, clean, RIGHT, WRONG)
    with pytest.raises(SelectionError, match="does not fit"):
        paths(runs, [Path("noising", (3,), ((1,), (2,), (3,)))])
    shared = pair_of("gemma4")
    with pytest.raises(SelectionError, match="read the keys and values of earlier ones"):
        paths(shared, [Path("noising", (0,), ((1,), (2,)))])
    with pytest.raises(SelectionError, match="at least two groups"):
        paths(runs, [Path("noising", (0,), ((1,),))])


def test_a_patch_of_a_site_is_checked_and_does_what_it_says() -> None:
    runs = pair_of("llava")
    recording = runs.clean
    value = torch.zeros(2, *recording.state_shape(SITE))
    for given, what in (
        (SitePatch([1, 2], SITE, value[:1]), "shape"),
        (SitePatch([1, 2], "attn_out.1", torch.zeros(2, 64), heads=0), "has none"),
        (SitePatch([1, 2], SITE, value, heads=9), "heads"),
        (SitePatch([1, 2], SITE, value + torch.inf, heads=0), "finite"),
    ):
        with pytest.raises(InterventionError, match=what):
            resolve((given,), recording)


SITE = Site("z", 1)


def test_a_direction_names_its_two_runs() -> None:
    runs = pair_of("llava")
    one: Direction = "noising"
    assert (runs.base(one), runs.source(one)) == (runs.clean, runs.corrupt)
    assert runs.normalised(torch.tensor(runs.ends)).tolist() == [1, 0]
