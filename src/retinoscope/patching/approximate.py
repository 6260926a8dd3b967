"""Approximations of a sweep by gradients: one backward pass, or a few, for all its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording, gradient
from retinoscope.interventions import Condition, Patch, Site
from retinoscope.patching.pair import DIRECTIONS, Pair
from retinoscope.patching.relevance import relevance_rules
from retinoscope.patching.sweep import Cell, States

Approximation = Literal["attribution", "eap_ig", "relp"]

APPROXIMATIONS: tuple[Approximation, ...] = ("attribution", "eap_ig", "relp")
"""Attribution patching (the gradient of the run that is changed; Nanda 2023, arXiv 2310.10348),
EAP-IG (gradients averaged over inputs between the two runs'; Hanna et al. 2024, arXiv 2403.17806)
and RelP (relevance rules in the gradient's place; Jafari et al. 2025, arXiv 2508.21258)."""

STEPS = 5
"""Inputs between the two runs at which EAP-IG takes gradients, as its authors do."""

Gradients = Mapping[Site, Float[Tensor, "positions *state"]]


def approximated(
    runs: Pair, asked: Sequence[Cell], method: Approximation, steps: int = STEPS
) -> Float[Tensor, " cells"]:
    """The logit difference that a method predicts for each cell: ld_base + change . gradient.

    All three share this form, cell by cell, and differ in the gradient. EAP-IG's inputs stand at
    the middles of `steps` equal pieces between the two runs' inputs of the first layer (its
    authors take the pieces' ends), so that both directions share them.

    Args:
        runs: the two runs.
        asked: the cells.
        method: which one.
        steps: inputs of EAP-IG.

    Raises:
        InterventionError: RelP's rules don't know a part of the model, or a site is not there.
    """
    found = torch.empty(len(asked))
    shared: Gradients | None = None
    for direction in DIRECTIONS:
        members = [i for i, cell in enumerate(asked) if cell.direction == direction]
        if not members:
            continue
        here = [asked[index] for index in members]
        base, source = runs.base(direction), runs.source(direction)
        if method == "eap_ig":
            shared = shared or _between(runs, asked, steps)
            slopes = shared
        else:
            slopes = _slopes(runs, base, here, method)
        before, after = States(runs, base, here), States(runs, source, here)
        start = runs.difference(base.logits).cpu()
        found[members] = (
            start + torch.stack([_change(cell, before, after, slopes) for cell in here]).cpu()
        )
    return found


def _change(cell: Cell, before: States, after: States, slopes: Gradients) -> Tensor:
    slope = slopes[cell.site(before.recording)][list(cell.positions)]
    if cell.head >= 0:
        slope = slope[:, cell.head]
    return ((after.at(cell) - before.at(cell)).double() * slope.double()).sum().float()


def _slopes(runs: Pair, base: Recording, asked: Sequence[Cell], method: Approximation) -> Gradients:
    if method == "relp":
        with relevance_rules(base):
            return _gradient(runs, base, asked)
    return _gradient(runs, base, asked)


def _gradient(
    runs: Pair, base: Recording, asked: Sequence[Cell], condition: Condition = ()
) -> Gradients:
    sites = list(dict.fromkeys(cell.site(base) for cell in asked))
    return gradient(base, runs.difference, sites, condition)


def _between(runs: Pair, asked: Sequence[Cell], steps: int) -> Gradients:
    """The mean gradient over inputs on the straight line between the two runs'."""
    one, other = runs.corrupt.residual(0), runs.clean.residual(0)
    every, total = range(runs.clean.length), dict[Site, Tensor]()
    for step in range(steps):
        tokens = one + (step + 0.5) / steps * (other - one)
        found = _gradient(runs, runs.clean, asked, (Patch(every, 0, tokens),))
        total = {site: total.get(site, 0) + slope / steps for site, slope in found.items()}
    return total
