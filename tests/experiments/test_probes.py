"""Probes of whole images: what is planted is found, where it is; what is not there isn't."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from retinoscope.data import arranged_scenes, embedded_scenes, load_image
from retinoscope.data.scenes import THEMES
from retinoscope.data.scenes.redraw import theme_of
from retinoscope.experiments import OwnSettings, Settings
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.globals.grids import probe_grid
from retinoscope.experiments.globals.measure import measure
from retinoscope.experiments.globals.probes import fitted, probes
from retinoscope.experiments.globals.records import ProbeRecord
from retinoscope.experiments.globals.tables import probe_table
from retinoscope.results.records import SkippedRecord
from tests.experiments.drivers_model import pictures
from tests.experiments.spreading_model import spreading
from tests.experiments.test_pairs import frame

NAMES = ("dog", "cat")


def test_a_planted_direction_is_found_and_noise_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = [frozenset([NAMES[i % 2]]) for i in range(80)]
    noise = torch.randn(80, 2, 16, generator=generator)
    states = noise.clone()
    states[:, 1, 5] += torch.tensor([4.0 if "dog" in one else -4.0 for one in labels])
    probe = fitted([*states[:40]], labels[:40])
    assert probe is not None and set(probe.names) == set(NAMES)
    first = [probe.first(one) for one in states[40:]]
    right = np.array(
        [[n in one for n in names] for names, one in zip(first, labels[40:], strict=True)]
    )
    assert right[:, 1].all()
    assert 0.25 < right[:, 0].mean() < 0.75
    assert fitted([*states[:5]], labels[:5]) is None


def test_themes_are_those_that_scenes_were_drawn_from() -> None:
    for data in (embedded_scenes(12, seed=4), arranged_scenes("rows+groups", 4, seed=4)):
        found = [theme_of(one, np.array(load_image(one))) for one in data.samples]
        assert set(found) <= set(THEMES) and len(set(found)) > 1
    sample = data.samples[0]
    other = np.array(load_image(sample)) // 2
    assert theme_of(sample, other) is None
    assert theme_of(replace(sample, path=Path("elsewhere/images/1.png")), other) is None


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """A model that writes each image's classes into everything behind them."""
    folder = tmp_path_factory.mktemp("spreading")
    upper = [one for i, one in enumerate(pictures(folder, 72, NAMES)) if i // 3 % 3 == 0]
    seen = {one.class_name: one for one in reversed(upper) if one.annotation.box[0] == 0}
    made = spreading(folder / "model", {name: seen[name] for name in NAMES})
    pairs = [(one.sample, one.annotation) for one in upper]
    settings = Settings(tasks=("ask",), values=("zero",), max_new_tokens=4)
    bench = Bench(made, NAMES, pairs, settings, OwnSettings())
    assert len(probes(bench).images) == len(upper) // 2
    return [row for target in upper for row in measure(bench, target)]


def test_what_is_spread_is_found_far_away_and_gone_with_its_source(rows: list[Any]) -> None:
    table = probe_table(frame(rows, ProbeRecord))
    found = {
        (r["read_at"], r["token_type"], r["mode"]): r
        for r in table.filter(pl.col("asked") == "class", ~pl.col("random")).iter_rows(named=True)
    }
    for place in ("far background", "last position"):
        assert found[place, "none", ""]["right"] == 1.0
        assert found[place, "none", ""]["null"] == pytest.approx(0.5, abs=0.2)
        assert found[place, "objects", "pixels"]["right"] <= 0.75
    assert found["last position", "object+1", "ablate"]["right"] <= 0.75
    assert found["last position", "object+1", "keep"]["right"] == 1.0
    assert found["last position", "far background", "ablate"]["right"] == 1.0
    grid = probe_grid(table)
    assert all(len(row) == len(grid.heads) for row in grid.rows)


def test_what_can_not_be_probed_is_said(rows: list[Any]) -> None:
    reasons = {(one.condition, one.reason) for one in rows if isinstance(one, SkippedRecord)}
    assert ("probe: theme", "the data don't say the image's theme") in reasons
    assert any("probes are fitted on" in reason for _, reason in reasons)
