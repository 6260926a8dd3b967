"""Why the model says yes or no: every finding's own line of Python gives its number again."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import retinoscope as rs
from retinoscope.api.regions import positions_code, regions
from retinoscope.cli.main import commands
from retinoscope.data import embedded_scenes, load_image
from retinoscope.errors import DataError


@pytest.fixture(scope="module")
def vlm() -> rs.VLM:
    return rs.load("embedded")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("look") / "scene.png"
    load_image(embedded_scenes(10, seed=2).samples[4]).save(path)
    return path


@pytest.fixture(scope="module")
def found(vlm: rs.VLM, image: Path) -> rs.PollExplanation:
    return rs.explain_poll(vlm, image, "elephant")


def test_each_finding_is_repeated_by_its_line(found: rs.PollExplanation) -> None:
    names: dict[str, object] = {"rs": rs}
    exec(found.setup, names)
    assert len(found.findings) >= 5
    for one in found.findings:
        again = float(eval(one.code, names))
        assert again == pytest.approx(one.value, abs=2e-4), one.what


def test_findings_are_ranked_and_framed(found: rs.PollExplanation) -> None:
    frame = found.frame()
    nats = [abs(one.value) for one in found.findings if one.unit == "nats"]
    assert nats == sorted(nats, reverse=True)
    assert frame["rank"].to_list() == list(range(1, len(frame) + 1))
    assert frame.columns == ["rank", "finding", "value", "unit", "code"]


def test_an_absent_object_differs_from_a_present_one(found: rs.PollExplanation) -> None:
    """The scene holds a pizza and a cactus, and no elephant."""
    assert found.answer.startswith("No")
    assert found.present in ("pizza", "cactus")
    rows = {row["measure"]: row for row in found.compared.to_dicts()}
    assert rows["log-odds of yes"]["asked"] < 0 < rows["log-odds of yes"]["present"]
    lens = rows["highest lens probability of the word"]
    assert lens["asked"] < lens["present"]
    # What holds up the yes of a present object goes with its region; a no has nothing to lose.
    removed = rows["strongest region removed"]
    assert removed["present"] < min(removed["asked"], 0)


def test_the_leaning_is_that_of_the_logits(vlm: rs.VLM, image: Path) -> None:
    view = vlm.look(image, "Is there a pizza in this image?")
    leaning = rs.yes(view, [(), rs.Ablate(view.tokens, "zero")])
    assert leaning.change[0] == 0
    assert (leaning.log_odds > 0).tolist() == [
        one.startswith("Yes") for one in view.answers([(), rs.Ablate(view.tokens, "zero")])
    ]
    assert leaning.frame().height == 2


def test_regions_share_out_the_image(vlm: rs.VLM, image: Path) -> None:
    view = vlm.look(image, "Is there a pizza in this image?")
    found = regions(view, 5)
    assert sorted(p for one in found for p in one.tokens) == sorted(view.tokens)
    for one in found:
        assert eval(positions_code(one.tokens)) == list(one.tokens)


def test_an_explanation_prints_counts_as_counts_and_shares_as_shares(image: Path) -> None:
    done = CliRunner().invoke(
        commands, ["look", str(image), "--name", "elephant", "--beside", "pizza"]
    )
    rows = {line.split("│")[1].strip(): line for line in done.output.splitlines() if "│" in line}
    assert re.search(r"│ \d+ +│ \d+ +│$", rows["patches that decode to the word"])
    assert re.search(r"│ \d+ % +│ \d+ % +│$", rows["highest lens probability of the word"])
    assert re.search(r"│ [+-][\d.]+ nats +│ [+-][\d.]+ nats", rows["log-odds of yes"])
    assert "of 1 patches" not in done.output


def test_an_object_without_a_place_is_explained(image: Path) -> None:
    done = CliRunner().invoke(
        commands, ["look", str(image), "--name", "elephant", "--beside", "pizza", "--json"]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["present"] == "pizza"
    assert told["findings"][0]["code"].startswith("rs.yes(view, ")
    for wrong in (("--question", "What?"), ("--beside", "cup", "--box", "0,0,9,9")):
        with pytest.raises(DataError, match="place"):
            CliRunner().invoke(
                commands, ["look", str(image), "--name", "dog", *wrong], catch_exceptions=False
            )
    with pytest.raises(DataError, match=r"can't spell 'zyzzyva'.*embedded knows dog, cat, "):
        CliRunner().invoke(
            commands, ["look", str(image), "--name", "zyzzyva"], catch_exceptions=False
        )
