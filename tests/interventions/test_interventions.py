"""What interventions touch, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from retinoscope.errors import InterventionError
from retinoscope.interventions import (
    Ablate,
    Knockout,
    Noise,
    Patch,
    Steer,
    as_condition,
    resolve,
)
from retinoscope.interventions.sites import whole_numbers


@dataclass
class CleanRun:
    """A context without a model."""

    length: int = 10
    layer_count: int = 4
    head_count: int = 2
    mean_token: Tensor | None = None
    stream: Tensor = field(default_factory=lambda: torch.randn(5, 10, 6))

    def residual(self, layer: int) -> Tensor:
        return self.stream[layer]


def test_ablate_writes_the_value_at_the_input():
    run = CleanRun(mean_token=torch.arange(6.0))
    for ablate, wanted in (
        (Ablate([5, 3], "mean"), torch.arange(6.0)),
        (Ablate([5, 3], "zero"), torch.zeros(6)),
    ):
        (write,) = ablate.sites(run).writes
        assert (write.layer, write.positions, write.add) == (0, (3, 5), False)
        assert torch.equal(write.values, wanted.expand(2, 6))


def test_noise_keeps_each_norm_and_follows_from_its_seed():
    run = CleanRun()
    (write,) = Ablate([2, 7], Noise(1)).sites(run).writes
    clean = run.residual(0)[[2, 7]]
    assert torch.allclose(write.values.norm(dim=-1), clean.norm(dim=-1))
    assert not torch.allclose(write.values, clean)
    (again,) = Ablate([2, 7], Noise(1)).sites(run).writes
    (other,) = Ablate([2, 7], Noise(2)).sites(run).writes
    assert torch.equal(write.values, again.values)
    assert not torch.equal(write.values, other.values)


def test_vectors_go_to_positions_in_ascending_order():
    vectors = torch.randn(2, 6)
    (write,) = Patch([7, 2], 4, vectors).sites(CleanRun()).writes
    assert write.positions == (2, 7)
    assert torch.equal(write.values, vectors)


def test_steer_adds_a_scaled_direction():
    (write,) = Steer([1], 2, torch.ones(6), scale=3.0).sites(CleanRun()).writes
    assert write.add
    assert torch.equal(write.values, torch.full((1, 6), 3.0))


def test_knockout_blocks_each_layer():
    blocks = Knockout([9], [1, 2], range(1, 3), heads=[1]).sites(CleanRun()).blocks
    assert [(b.layer, b.queries, b.keys, b.heads) for b in blocks] == [
        (1, (9,), (1, 2), (1,)),
        (2, (9,), (1, 2), (1,)),
    ]


def test_a_condition_is_all_of_its_interventions():
    run = CleanRun()
    both = resolve((Ablate([1], "zero"), Knockout([9], [1], [0])), run)
    assert len(both.writes) == len(both.blocks) == 1
    assert resolve((), run).writes == ()


@pytest.mark.parametrize(
    ("intervention", "message"),
    [
        (Ablate([], "zero"), "empty set"),
        (Ablate([10], "zero"), "positions 0..9"),
        (Ablate([-1], "zero"), "positions 0..9"),
        (Ablate([1, 1], "zero"), "twice"),
        (Ablate([1]), "mean visual token"),
        (Ablate([1, 2], torch.zeros(3, 6)), r"\[3, 6\]"),
        (Ablate([1], torch.full((6,), torch.nan)), "not finite"),
        (Patch([1], 5, torch.zeros(6)), "0..4"),
        (Steer([1], -1, torch.zeros(6)), "0..4"),
        (Knockout([9], [1], []), "0..3"),
        (Knockout([9], [1], [4]), "0..3"),
        (Knockout([9], [1], [0], heads=[2]), "0..1"),
        (Knockout([9], [1], [0], heads=[]), "0..1"),
        (Knockout([9], [1], [0], heads=[-1]), "0..1"),
        (Knockout([9], [1], [True]), "whole number"),
        (Ablate([False, True, True], "zero"), "whole number"),
        (Knockout([], [1], [0]), "empty set"),
        (Knockout([9], [], [0]), "empty set"),
    ],
)
def test_what_cannot_be_applied_is_refused(intervention, message):
    with pytest.raises(InterventionError, match=message):
        intervention.sites(CleanRun())


def test_one_intervention_is_a_condition_of_one():
    ablate = Ablate([1], "zero")
    assert as_condition(ablate) == (ablate,)
    assert as_condition([ablate]) == (ablate,)


def test_whole_numbers_of_other_libraries_are_plain_ones():
    for numbers in (np.array([3, 5]), torch.tensor([3, 5]), [np.int64(3), torch.tensor(5)]):
        found = whole_numbers(numbers, "Ablate")
        assert found == [3, 5]
        assert all(type(number) is int for number in found)
    for wrong in ([2.0], ["2"], [None], np.array([True]), torch.tensor([True]), [np.bool_(1)]):
        with pytest.raises(InterventionError, match="whole number"):
            whole_numbers(wrong, "Ablate")
