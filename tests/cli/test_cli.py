"""The command line as a user types it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from PIL import Image


def retinoscope(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from retinoscope.cli.main import app; app()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


@pytest.mark.parametrize(
    "command", [[], ["reproduce"], ["look"], ["lens"], ["mean"], ["scenes", "write"]]
)
def test_help_teaches(command):
    done = retinoscope(*command, "--help")
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_help_does_not_wait_for_torch():
    code = (
        "import sys, runpy; sys.argv = ['retinoscope', '--help']\n"
        "from retinoscope.cli.main import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reproduce", "--data", "imagenet"], "DataError"),
        (["reproduce", "--model", "./nowhere"], "ModelError"),
        (["reproduce", "--experiments", "magic"], "RunError"),
        (["reproduce", "--set", "knockout.sweeps=foo"], "sweeps: expected"),
        (["reproduce", "--set", "knockout.sweeps="], "sweeps: expected"),
        (["reproduce", "--set", "sweeps=layer"], "expected NAME.FIELD=VALUE"),
        (["reproduce", "--set", "knockout.swops=none"], "choose from sweeps"),
        (["reproduce", "--set", "ablation.sizes=5,x"], "can't be '5,x'"),
        (["reproduce", "--set", "lens.x=1"], "choose from none"),
        (["reproduce", "--experiments", "lens,lens"], "RunError"),
        (["reproduce", "--split", "val"], "DataError"),
        (["reproduce", "--revision", "main"], "ModelError"),
        (["reproduce", "--dtype", "int8"], "ModelError"),
        (["reproduce", "--mean-file", "mean.pt", "--mean-count", "3"], "RunError"),
        (["reproduce", "--mean-file", "mean.pt"], "ModelError"),
        (["reproduce", "--mean-file", "mean.pt", "--mean-images", "here"], "RunError"),
        (["reproduce", "--questions", "asked.json"], "DataError"),
        (["mean", "nowhere"], "DataError"),
        (["report", "nowhere"], "RunError"),
        (["lens", "no-such-image.jpg"], "SampleError"),
        (["lens", "any.jpg", "--value", "magic"], "DataError"),
        (["lens", "any.jpg", "--out", "page.html"], "Give --out page"),
    ],
)
def test_a_wrong_command_gets_one_clear_message(tmp_path, arguments, message):
    done = retinoscope(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_option_is_refused():
    done = retinoscope("reproduce", "--no-such-option")
    assert done.returncode == 2
    assert "No such option" in done.stderr


def test_lens_pages_compare_an_ablation_with_the_clean_run(tmp_path):
    Image.new("RGB", (90, 60), (200, 80, 40)).save(tmp_path / "photo.png")
    mask = Image.new("RGBA", (90, 60), (255, 255, 255, 0))  # white all over, and seen in one place
    mask.paste((255, 255, 255, 255), (60, 40, 80, 55))
    mask.save(tmp_path / "mask.png")
    asked = ["lens", "photo.png", "--value", "zero", "--max-new-tokens", "4", "--text"]
    done = retinoscope(*asked, "--ablate", "0,0,20,15", "--ablate", "mask.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "lens").iterdir()}
    assert names == {"photo.html", "photo@ablated.html", "index.html", "photo-text.csv"}
    words = pl.read_csv(tmp_path / "lens" / "photo-text.csv")
    assert "USER" in words["token"].to_list()
    assert words.group_by("position", "layer").len()["len"].unique().to_list() == [5]
    assert "photo.png: Note: embedded knows nothing but" in done.stdout
    page = (tmp_path / "lens" / "photo@ablated.html").read_text("utf-8")
    assert page.count('class="pane"') == 2
    replaced = re.search(r"(\d+) tokens replaced by zero", page)
    assert replaced is not None
    assert int(replaced[1]) < 40  # of 144: those under the box and the mask alone


def test_a_mask_of_another_size_is_refused(tmp_path):
    Image.new("RGB", (90, 60)).save(tmp_path / "photo.png")
    Image.new("L", (60, 90), 255).save(tmp_path / "mask.png")
    asked = ["lens", "photo.png", "--value", "zero", "--ablate", "mask.png"]
    done = retinoscope(*asked, cwd=tmp_path)
    assert done.returncode == 2
    assert "60 x 90" in done.stderr and "90 x 60" in done.stderr
