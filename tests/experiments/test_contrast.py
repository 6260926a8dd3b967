"""The contrast of an item: chosen on the clean run, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from retinoscope.errors import SampleError
from retinoscope.experiments.contrast import contrast

LOGITS = torch.tensor([0.5, 3.0, 2.0, 4.0, -1.0])


def test_the_likeliest_right_token_stands_against_the_likeliest_other() -> None:
    found = contrast(LOGITS, [1, 2])
    assert (found.right, found.wrong) == (1, 3)
    assert float(found.difference(LOGITS)) == pytest.approx(-1.0)


def test_given_choices_bound_what_can_be_wrong() -> None:
    assert contrast(LOGITS, [1], [0, 4, 1]).wrong == 0


def test_it_stays_what_it_was_under_every_condition() -> None:
    found = contrast(LOGITS, [3])
    rows = torch.stack([LOGITS, LOGITS.flip(0)])
    assert torch.equal(found.difference(rows), torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize(("right", "wrong"), [([], []), ([1], [1]), ([0, 1, 2, 3, 4], [])])
def test_an_item_without_two_sides_is_refused(right: list[int], wrong: list[int]) -> None:
    with pytest.raises(SampleError, match="leave"):
        contrast(LOGITS, right, wrong)
