"""Receptive fields: laws of the measures, a tiny model's fields, planted records."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny
import torch
from PIL import Image

from retinoscope.engine import look
from retinoscope.experiments.fields.measure import (
    blocks_under,
    locality,
    own_parts,
    receptive_field,
    shares,
    spread,
    strongest,
)
from retinoscope.experiments.fields.records import FieldAblationRecord, FieldRecord
from retinoscope.experiments.fields.report import ablations_table, fields_table, place
from retinoscope.models import Checkpoint, load
from retinoscope.models.vision import local_vision

PARTS = 4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder: Path = tiny.save(tmp_path_factory.mktemp("model"))
    return load(folder)


@pytest.fixture(scope="module")
def image() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_token_that_sees_its_own_part_alone_is_wholly_local() -> None:
    own = np.eye(PARTS, dtype=bool)
    assert locality(np.eye(PARTS), own) == (1.0, 1 / PARTS)
    assert spread(np.eye(PARTS)) == pytest.approx(0.0)


def test_even_fields_are_as_local_as_chance_and_spread_to_the_full() -> None:
    own = np.eye(PARTS, dtype=bool)
    for field in (np.ones((PARTS, PARTS)), np.zeros((PARTS, PARTS))):
        inside, chance = locality(field, own)
        assert inside == pytest.approx(chance)
        assert spread(field) == pytest.approx(1.0)
        assert np.allclose(shares(field).sum(-1), 1.0)


def test_the_strongest_are_those_that_see_most_of_the_parts() -> None:
    field = np.array([[1.0, 3.0], [4.0, 0.0], [1.0, 1.0]])
    assert strongest(field, np.array([True, False]), 2) == [1, 2]
    assert strongest(field, np.array([False, True]), 1) == [0]


def test_parts_under_a_mask_cover_it_and_nothing_else() -> None:
    mask = np.zeros((50, 30), dtype=bool)
    mask[:10, :5] = True
    seen = blocks_under(mask, 3)
    assert seen.tolist() == [True, *[False] * 8]
    assert blocks_under(np.ones((50, 30), dtype=bool), 3).all()


def test_where_nothing_mixes_patches_a_field_is_the_tokens_own_place(
    checkpoint: Checkpoint, image: Image.Image
) -> None:
    """The map's claim, by behaviour: with the encoder's attention silenced only its parts move."""
    layout = look(checkpoint, image, "Describe this image.").encoded.layout
    own = own_parts(layout, PARTS)
    assert own is not None
    with local_vision(checkpoint):
        silenced = receptive_field(checkpoint, image, PARTS)
    inside, chance = locality(silenced, own)
    assert inside > 0.9 > chance
    mixed = receptive_field(checkpoint, image, PARTS)
    assert mixed.shape == (len(layout.visual), PARTS**2)
    assert (mixed >= 0).all()
    assert locality(mixed, own)[0] < inside


def test_erasing_what_is_grey_already_moves_nothing(checkpoint: Checkpoint) -> None:
    flat = Image.new("RGB", (64, 64), (90, 120, 30))
    assert not receptive_field(checkpoint, flat, 2).any()
    assert torch.is_grad_enabled()


def _fields(local: float, count: int = 12) -> pl.DataFrame:
    return pl.DataFrame(
        [
            asdict(FieldRecord(i, i, "dog", 16, 64, local + 0.001 * i, 0.1, 0.5, 0, 4, 0.9))
            for i in range(count)
        ]
    )


def _ablations(lost: dict[str, bool], count: int = 12, *, right: bool = True) -> pl.DataFrame:
    rows = [
        FieldAblationRecord(
            *(i, i, "dog", task, f"{task} {i}", chosen, 4),
            difference=1.0,
            clean_difference=1.0,
            right=right and not gone,
            clean_right=right,
        )
        for i in range(count)
        for task in ("poll", "ask")
        for chosen, gone in ({"clean": False} | lost).items()
    ]
    return pl.DataFrame([asdict(row) for row in rows])


def test_planted_fields_are_found_and_their_absence_too() -> None:
    seeing = ablations_table(_ablations({"field": True, "map": True, "random": False}))
    blind = ablations_table(_ablations({"field": False, "map": False, "random": False}))
    local, even = fields_table(_fields(0.6)), fields_table(_fields(0.05))
    assert place(local, seeing).outcome == "held"
    assert place(even, seeing).outcome == "did not hold"
    assert place(local, blind).outcome == "did not hold"


def test_few_objects_and_a_model_that_is_never_right_judge_nothing() -> None:
    few = ablations_table(_ablations({"field": True, "random": False}, count=3))
    assert "too few" in place(fields_table(_fields(0.6)), few).outcome
    wrong = ablations_table(_ablations({"field": True, "random": False}, right=False))
    assert not wrong.height
    checks = place(fields_table(_fields(0.6)), wrong).checks
    assert [check.met for check in checks] == [True, None, None]


def test_tokens_without_a_place_have_no_locality_and_are_judged_by_need() -> None:
    rows = _fields(0.6).with_columns(
        locality=pl.lit(None, pl.Float64), chance=pl.lit(None, pl.Float64)
    )
    seeing = ablations_table(_ablations({"field": True, "random": False}))
    assert place(fields_table(rows), seeing).outcome == "held"
