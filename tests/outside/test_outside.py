"""What an installed distribution brings works like our own, with no line of the package changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import coco_scene
import polars as pl
import pytest
import tiny

import retinoscope
from retinoscope import registry
from retinoscope.data import Filter
from retinoscope.errors import RegistrationError
from retinoscope.results import read
from retinoscope.results.manifest import read_manifest
from tests.outside import distribution

COMMAND = "from retinoscope.cli.main import app; app()"


class Place:
    """A folder with the distribution, a model and data, and the command line there."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root, root / "log"
        self.site = distribution.write(root / "site")
        self.data = coco_scene.write(root / "data")
        self.model = tiny.save(root / "model")
        self.log.write_text("")

    def python(self, code: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        source = Path(retinoscope.__file__).parents[1]
        paths = os.pathsep.join((str(self.site), str(source)))
        settings = {"PYTHONPATH": paths, "GLOW_LOG": str(self.log), "COLUMNS": "200", **variables}
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )

    def reproduce(self, white: str = "510", **variables: str) -> subprocess.CompletedProcess[str]:
        return self.python(
            *(COMMAND, "reproduce", "--verbose", "--model", str(self.model)),
            *("--data", f"glowing:{self.data}"),
            *("--experiments", "brightness", "--no-curation", "--mean-count", "2"),
            *("--out", str(self.root / "run"), "--set", f"brightness.white={white}"),
            **variables,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("outside"))


def test_help_names_an_experiment_and_data_from_outside(place: Place) -> None:
    told = place.python(COMMAND, "reproduce", "--help").stdout
    assert "How bright is the object?" in " ".join(told.split())
    assert "glowing:PATH" in told
    assert "brightness.white=255.0" in told


def test_an_experiment_from_outside_is_measured_resumed_and_reported(place: Place) -> None:
    killed = place.reproduce(GLOW_DIE="2")
    assert killed.returncode == 9, killed.stderr
    before = place.log.read_text().split()
    assert len(before) == 2
    whole = place.reproduce()
    assert whole.returncode == 0, whole.stdout + whole.stderr
    # The source's own limit is 3 objects; those that were measured before are not measured again.
    assert len(place.log.read_text().split()) == 3
    run = place.root / "run"
    assert read_manifest(run).configuration["experiments"] == {"brightness": {"white": 510.0}}
    other = place.reproduce(white="255")
    assert other.returncode == 2
    assert "experiments.brightness.white" in other.stderr
    assert "white is a number, above 0" in place.reproduce(white="-1").stderr
    assert "brightness records: 6" in whole.stdout
    assert "Light: held" in whole.stdout
    table = (run / "tables" / "brightness_by_region.csv").read_text().splitlines()
    assert table[0] == "region,objects,value"
    assert [line.split(",")[:2] for line in table[1:]] == [["object", "3"], ["rest", "3"]]
    assert (run / "figures" / "brightness-bars.svg").stat().st_size > 1000
    page = (run / "report.html").read_text("utf-8")
    for text in ("Brightness: how bright is it?", "Mean brightness.", "Nothing glows."):
        assert text in page
    beside = place.python(COMMAND, "report", str(run), "--beside", str(run))
    assert "Brightness, all: value" in beside.stdout, beside.stderr
    assert "brightness,all,value,object" in (run / "tables" / "beside.csv").read_text()
    data = json.loads(place.python(COMMAND, "report", str(run), "--json").stdout)
    assert [row["region"] for row in data["tables"]["brightness_by_region"]] == ["object", "rest"]
    assert data["verdicts"][-1]["name"] == "Light"


def test_a_run_of_what_is_not_installed_is_not_drawn_without_it(place: Place) -> None:
    code = f"import sys; sys.path.remove({str(place.site)!r}); {COMMAND}"
    told = place.python(code, "report", str(place.root / "run"))
    assert told.returncode == 2
    assert "brightness, which are not installed" in " ".join(told.stderr.split())


MEASURE = """
import sys
from pathlib import Path
from retinoscope.experiments import Settings
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.knockout.settings import KnockoutSettings
from retinoscope.report.render import render
from retinoscope.runs import Plan, Silent, run
settings = Settings(tasks=("name",), values=("zero",), buffers=(0,))
own = {"ablation": AblationSettings(sizes=(5,)), "knockout": KnockoutSettings(sweeps=())}
plan = Plan(
    out=Path(sys.argv[1]), model=sys.argv[2], data="glowing:" + sys.argv[3], settings=settings,
    own=own,
    experiments=("ablation", "knockout"), curated=False, mean_count=2, limit=8,
)
render(run(plan, Silent()))
"""


def test_the_experiments_measure_a_task_from_outside(place: Place) -> None:
    run = place.root / "named"
    told = place.python(MEASURE, str(run), str(place.model), str(place.data))
    assert told.returncode == 0, told.stderr
    results = read(run)
    assert results.manifest.counts["objects to measure"] == 4
    for table in ("ablation", "knockout"):
        assert set(results[table]["task"]) == {"name"}
        asked = results[table].select("object_id", "class_name").unique()
        assert "car" not in set(asked["class_name"])
        skipped = results["skipped"].filter(experiment=table, condition="name")
        assert set(skipped["reason"]) == {"cars have no names"}
        assert asked.height + skipped.height == 4
    assert set(pl.read_csv(run / "tables" / "ablation.csv")["task"]) == {"name"}
    page = (run / "report.html").read_text("utf-8")
    assert "name (n = " in page
    assert "Knockout, name" in page


SAVE_GLOWING = """
import sys
import transformers as hf
from glow.model import GlowConfig, GlowForConditionalGeneration
plain = hf.LlavaForConditionalGeneration.from_pretrained(sys.argv[1])
model = GlowForConditionalGeneration(GlowConfig.from_dict(plain.config.to_dict()))
model.load_state_dict(plain.state_dict())
model.save_pretrained(sys.argv[2])
hf.LlavaProcessor.from_pretrained(sys.argv[1], backend="pil").save_pretrained(sys.argv[2])
"""

LOOK = """
import json, sys
import numpy as np
import torch
import retinoscope as rs
from PIL import Image
vlm = rs.load(sys.argv[1], device="cpu")
image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
view = vlm.look(image, "dog", max_new_tokens=3)
corner = view.tokens.box(12, 2, 20, 9)
checkpoint = vlm.checkpoint
def replaced(layer, args, options):
    args[0][0, list(corner)] = 0
    return args, options
hook = checkpoint.parts.layers[0].register_forward_pre_hook(replaced, with_kwargs=True)
with torch.no_grad():
    plain = checkpoint.model(**view.recording.encoded.inputs).logits[0, -1]
hook.remove()
found = view.evaluate(rs.Ablate(corner, "zero")).logits[0]
print(json.dumps({
    "family": checkpoint.family.name,
    "model": type(checkpoint.model).__name__,
    "prompt": view.recording.encoded.prompt,
    "first": list(corner) == [view.recording.layout.visual[0]],
    "fallback": view.recording.fallback,
    "error": float((found - plain).abs().max()),
    "moved": float((plain - view.recording.logits).abs().max()),
}))
"""


def test_a_model_of_a_family_from_outside_is_loaded_and_run(place: Place) -> None:
    folder = place.root / "glowing-model"
    saved = place.python(SAVE_GLOWING, str(place.model), str(folder))
    assert saved.returncode == 0, saved.stderr
    told = place.python(LOOK, str(folder))
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout.splitlines()[-1])
    assert (found["family"], found["model"]) == ("Glow", "GlowForConditionalGeneration")
    assert found["prompt"] == "What is there : <image> dog ?"
    assert found["first"] and found["fallback"] is None
    assert found["error"] < 1e-5 < 1e-3 < found["moved"]
    # Without the distribution nobody knows such a model.
    code = f"import sys; sys.path.remove({str(place.site)!r}); {LOOK}"
    assert "glow_llava" in place.python(code, str(folder)).stderr


def test_a_report_needs_no_torch(place: Place) -> None:
    code = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules)); "
    told = place.python(code + COMMAND, "report", str(place.root / "run"))
    assert told.returncode == 0, told.stderr
    assert told.stdout.split()[-1] == "False"


def test_a_name_that_is_taken_and_a_thing_of_another_kind_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = registry.metadata.EntryPoint("x", "retinoscope.data:ANY_SIZE", "g")
    monkeypatch.setattr(registry.metadata, "entry_points", lambda group: [point])
    with pytest.raises(RegistrationError, match="where a Path is expected; it is Filter"):
        registry.registered("g", Path, [])
    monkeypatch.setattr(registry, "_name", lambda one: "same")
    with pytest.raises(RegistrationError, match="retinoscope has that name"):
        registry.registered("g", Filter, [Filter()])
    with pytest.raises(RegistrationError, match="can't be loaded"):
        registry.load("retinoscope.nowhere:measure")
