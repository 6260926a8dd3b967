"""`retinoscope lens` of folders, files of one name, and files that are no images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from retinoscope.cli.main import commands
from retinoscope.data import embedded_scenes, load_image
from retinoscope.errors import SampleError


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for place, sample in zip(("one", "two"), embedded_scenes(2).samples, strict=True):
        (folder / place).mkdir()
        load_image(sample).save(folder / place / "photo.png")
    (folder / "bad.jpg").write_text("no image")
    return folder


def test_a_folders_images_have_a_page_each_and_a_bad_file_is_left_out(
    photos: Path, tmp_path: Path
) -> None:
    asked = ["lens", str(photos), "--out", str(tmp_path), "--max-new-tokens", "2", "--json"]
    done = CliRunner().invoke(commands, asked)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    pages = {Path(one["image"]).parent.name: Path(one["page"]) for one in told["pages"]}
    assert {place: page.name for place, page in pages.items()} == {
        "one": "photo.html",
        "two": "photo-2.html",
    }
    assert pages["one"].read_text("utf-8") != pages["two"].read_text("utf-8")
    (left_out,) = told["left_out"]
    assert "bad.jpg" in left_out


def test_bad_files_alone_are_an_error(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r"bad\.jpg"):
        CliRunner().invoke(
            commands,
            ["lens", str(photos / "bad.jpg"), "--out", str(tmp_path / "out")],
            catch_exceptions=False,
        )
    assert not (tmp_path / "out").exists()
