"""`rs.interchange` and `rs.paths`: what they give, how they print, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny
from PIL import Image

import retinoscope as rs
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.models import load

Views = tuple[rs.View, rs.View]


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Views:
    folder: Path = tiny.save(tmp_path_factory.mktemp("model"))
    vlm = rs.VLM(load(folder))
    drawn = np.random.default_rng(0).integers(0, 255, (2, 56, 56, 3), dtype=np.uint8)
    question = "Is there a dog in this image ?"
    one, other = (vlm.look(Image.fromarray(pixels), question, max_new_tokens=0) for pixels in drawn)
    return one, other


def test_one_call_sweeps_layers_groups_and_directions(views: Views) -> None:
    clean, corrupt = views
    groups = {"object": clean.tokens.box(0, 0, 20, 20), "last": clean.last}
    told: list[tuple[int, int]] = []
    found = rs.interchange(
        *(clean, corrupt, groups),
        right="dog",
        wrong="cat",
        approximations=True,
        progress=lambda done, every: told.append((done, every)),
    )
    frame = found.frame()
    assert frame.height == 2 * 2 * tiny.LAYERS == told[-1][0]
    assert found.words == ("dog", "cat")
    # One cell by hand.
    cell = frame.row(by_predicate=ROW, named=True)
    patch = rs.Patch(clean.last, 2, corrupt.recording.residual(2)[-1])
    dog, cat = found.runs.right, found.runs.wrong
    logits = clean.evaluate(patch).logits[0]
    assert cell["difference"] == pytest.approx(float(logits[dog] - logits[cat]), abs=1e-6)
    assert cell["normalised"] == pytest.approx(1 - cell["carried"])
    assert found.grid("noising").shape == (tiny.LAYERS, 2)
    assert found.grid("noising")[2, 1] == pytest.approx(cell["carried"])
    errors = found.agreement()
    assert errors["approximation"].to_list() == [n for n in METHODS for _ in range(2)]
    assert set(errors["n"]) == {2 * tiny.LAYERS}
    assert len(repr(found).splitlines()) < 20
    assert "relp, denoising" in repr(found)


METHODS = ("attribution", "eap_ig", "relp")
ROW = (pl.col("direction") == "noising") & (pl.col("layer") == 2) & (pl.col("group") == "last")


def test_heads_are_swept_one_by_one(views: Views) -> None:
    found = rs.interchange(*views, heads="all", layers=[1, 3], directions="denoising", **WORDS)
    frame = found.frame()
    assert frame.height == 3 * 2 * tiny.HEADS
    assert set(frame["head"]) == set(range(tiny.HEADS))
    assert set(frame["group"]) == {"image", "text", "last"}
    assert "strongest head" in repr(found)
    some = rs.interchange(*views, heads=[2], layers=3, directions="denoising", **WORDS).frame()
    mine = frame.filter(head=2, layer=3)
    assert some["difference"].to_list() == pytest.approx(mine["difference"].to_list(), abs=1e-6)


WORDS = {"right": "dog", "wrong": "cat"}


def test_paths_lead_from_group_to_group(views: Views) -> None:
    clean, _ = views
    image, last = list(clean.tokens), clean.last
    text = range(image[-1] + 1, clean.recording.length - 1)
    route = {"image": image, "question": text, "last": last}
    found = rs.paths(*views, route, **WORDS)
    frame = found.frame()
    assert frame.height == 2 * (tiny.LAYERS - 1)
    assert set(frame["route"]) == {"image -> question -> last"}
    assert "image -> question -> last" in repr(found)
    whole = rs.paths(*views, [image, last], layers=[range(tiny.LAYERS)], **WORDS).frame()
    patch = rs.PathPatch(
        last, image, range(tiny.LAYERS), views[1].capture(["key", "value"], positions=image)
    )
    logits = clean.evaluate(patch).logits[0]
    expected = float(logits[found.runs.right] - logits[found.runs.wrong])
    assert whole["difference"][0] == pytest.approx(expected, abs=1e-6)


def test_the_two_directions_of_equal_ends_mirror_each_other(views: Views) -> None:
    """Clean and corrupt exchanged, with right and wrong, noising becomes denoising."""
    one, other = views
    first = rs.interchange(one, other, directions="noising", **WORDS)
    again = rs.interchange(other, one, directions="denoising", right="cat", wrong="dog")
    assert first.carried.tolist() == pytest.approx((again.carried).tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("options", "error", "what"),
    [
        ({"directions": "sideways"}, SelectionError, "sideways"),
        ({"approximations": "guess"}, SelectionError, "guess"),
        ({"groups": {}}, SelectionError, "by name"),
        ({"groups": {"none": []}}, InterventionError, "empty set"),
        ({"layers": tiny.LAYERS + 1}, InterventionError, "layers"),
        ({"layers": tiny.LAYERS, "heads": 0}, InterventionError, "layers"),
        ({"heads": tiny.HEADS}, InterventionError, "heads"),
        ({"wrong": "dog"}, SelectionError, "two tokens"),
    ],
)
def test_what_can_not_be_swept_is_refused(
    views: Views, options: dict, error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what):
        rs.interchange(*views, **(WORDS | options))
