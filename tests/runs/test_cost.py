"""What a run will cost follows from its numbers, and is told in one line before a long run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from retinoscope.errors import ModelError, RunError
from retinoscope.models import load
from retinoscope.results.experiment import default_experiments, experiments
from retinoscope.runs import Plan, Silent, run
from retinoscope.runs.cost import (
    Cost,
    Job,
    Machine,
    Shape,
    cost,
    machine_named,
    shape_of,
    this_machine,
    told,
)
from retinoscope.runs.cost import line as cost_lines
from retinoscope.runs.cost.estimate import lasting
from retinoscope.runs.cost.job import sized
from retinoscope.runs.cost.shape import config_of
from retinoscope.runs.cost.work import counted
from retinoscope.runs.mean_groups import GROUP
from tests.models import llava_shape

JOB = Job(("ablation", "lens", "knockout"), 1000, 3000, 400, 200, 640 * 480, 160_000)
SEVEN_B = shape_of("llava", llava_shape.config_of(llava_shape.LLAVA_7B))


def on(name: str, job: Job = JOB, shape: Shape = SEVEN_B) -> Cost:
    return cost(job, shape, machine_named(name))


def test_a_shape_is_read_of_the_configuration_alone() -> None:
    checkpoint = load("embedded", device="cpu")
    shape = shape_of("embedded", config_of("embedded"))
    assert shape.weights == sum(weight.numel() for weight in checkpoint.model.parameters())
    assert shape.layers == checkpoint.layer_count
    assert shape.number_bytes == checkpoint.model.dtype.itemsize
    assert shape.visual_tokens == 144
    assert pytest.approx(14.1e9, rel=0.05) == SEVEN_B.weight_bytes
    assert SEVEN_B.visual_tokens == 576


def test_no_weights_are_needed(tmp_path: Path) -> None:
    llava_shape.config_of(llava_shape.LLAVA_7B).save_pretrained(tmp_path)
    assert shape_of("llava", config_of(str(tmp_path))) == SEVEN_B
    with pytest.raises(ModelError, match="no configuration"):
        config_of(str(tmp_path / "nothing"))


def test_a_pass_has_the_operations_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    config = config_of("embedded")
    shape = shape_of("embedded", config)
    checkpoint = load("embedded", device="cpu")
    ids = torch.ones(1, shape.length, dtype=torch.long)
    with torch.no_grad(), FlopCounterMode(display=False) as found:
        checkpoint.model(input_ids=ids, use_cache=False, logits_to_keep=1)
    # PyTorch has no count of the processor's attention.
    assert shape.linear == pytest.approx(found.get_total_flops(), rel=0.01)
    assert shape.linear < shape.forward < 1.5 * shape.linear


def test_what_a_run_does_by_default_was_counted() -> None:
    assert {"curation", *default_experiments()} <= counted().keys()
    assert counted().keys() <= {"curation", *experiments()}
    assert all(min(work.forwards, work.passes, work.rows) > 0 for work in counted().values())


def test_costs_grow_with_the_work_and_shrink_with_the_devices() -> None:
    one, eight, many = on("H100"), on("8xH100"), on("64xH100")
    assert one.seconds > eight.seconds > many.seconds
    assert eight.seconds > one.seconds / 8
    assert 1 >= one.busy > eight.busy > many.busy > 0
    assert one.traffic < eight.traffic < many.traffic
    assert one.disk == many.disk
    more = on("H100", replace(JOB, objects=2000, looked_at=6000))
    assert 1.8 * one.seconds < more.seconds < 2.2 * one.seconds
    assert on("H100", replace(JOB, experiments=("lens",))).seconds < one.seconds
    assert on("RTX3090").seconds > one.seconds
    assert one.fits
    assert not cost(JOB, replace(SEVEN_B, number_bytes=16), machine_named("RTX3090")).fits


def test_the_mean_is_shared_out_in_groups() -> None:
    large, group = replace(JOB, mean_images=50_000), replace(JOB, mean_images=GROUP)
    without = replace(JOB, mean_images=0)
    one = on("H100").stages[0].seconds
    shared = on("64xH100", large).seconds - on("64xH100", without).seconds
    assert shared == pytest.approx(50_000 * one / 64, rel=0.1)
    # A group is one device's.
    assert on("64xH100", group).seconds - on("64xH100", without).seconds > 0.2 * GROUP * one


def test_what_more_devices_would_not_shorten_is_named() -> None:
    assert on("64xH100").limits == "loading the weights"
    few = replace(JOB, objects=64, looked_at=64)
    assert on("64xH100", few).busy < on("8xH100", few).busy
    assert (
        on("64xH100", few, replace(SEVEN_B, weights=1)).limits == "the slowest objects of a stage"
    )


@pytest.mark.parametrize(
    "wrong", ["", "H", "0xH100", "xH100", "8", "9" * 9 + "xH100", "\uff18xH100"]
)
def test_a_machine_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(RunError, match="names no machine"):
        machine_named(wrong)


def test_this_machine_is_measured() -> None:
    config = config_of("embedded")
    shape = shape_of("embedded", config)
    found = this_machine(config, shape, workers=2)
    assert found.measured and found.devices == 2
    assert 1e8 < found.flops < 1e13
    assert 0 < found.layer_seconds < 1
    assert config.get_text_config().num_hidden_layers == shape.layers, "the configuration is kept"


def test_a_plan_of_known_size_is_a_job(tmp_path: Path) -> None:
    plan = Plan(out=tmp_path)
    every = sized(plan, 900, 5, 1 / 3, None)
    assert (every.objects, every.looked_at) == (300, 900)
    limited = sized(plan, 900, 5, 0.5, 100)
    assert (limited.objects, limited.looked_at) == (100, 200)
    uncurated = sized(replace(plan, curated=False), 900, 5, 0.5, 100)
    assert (uncurated.objects, uncurated.looked_at) == (100, 0)


def test_seconds_are_told_in_the_unit_that_fits() -> None:
    assert [lasting(one) for one in (0.25, 90, 150, 8000, 4e5)] == [
        *("0.25 seconds", "90 seconds", "2.5 minutes", "2.2 hours", "4.6 days")
    ]


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize("long", [0.0, 1e9])
def test_one_line_is_told_before_a_long_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: float
) -> None:
    monkeypatch.setattr(cost_lines, "LONG", long)
    heard = Heard()
    plan = Plan(
        *(tmp_path / "run",),
        data="embedded:12",
        curated=False,
        limit=1,
        mean_count=2,
        sheets=0,
        experiments=("lens",),
    )
    run(plan, heard)
    lines = [note for note in heard.notes if note.startswith("About")]
    assert len(lines) == (long == 0)
    assert all("on this machine (1 of" in one and "memory" in one for one in lines)


def test_what_was_never_counted_is_told() -> None:
    foreign = cost(replace(JOB, experiments=("lens", "foreign")), SEVEN_B, machine_named("H100"))
    assert "foreign" in told(foreign) and foreign.uncounted == ("foreign",)
    assert [stage.name for stage in foreign.stages][-1] == "lens"


def test_an_experiment_that_measures_fewer_objects_costs_less() -> None:
    fewer = on("H100", replace(JOB, most={"knockout": 10}))
    assert {stage.name: stage.units for stage in fewer.stages}["knockout"] == 10


def test_the_line_tells_what_is_assumed() -> None:
    assert "assumed" in told(on("8xH100"))
    measured = Machine("here", 1, 1e10, 1e10, 0.001, 1e10, measured=True)
    assert "assumed" not in told(cost(JOB, SEVEN_B, measured))


def test_the_command_tells_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from retinoscope.cli.main import commands

    llava_shape.config_of(llava_shape.LLAVA_7B).save_pretrained(tmp_path)
    options = ["--candidates", "13000", "--on", "H100", "--on", "8xH100", "--json"]
    commands(["cost", "--model", str(tmp_path), *options], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert [one["machine"]["devices"] for one in found["costs"]] == [1, 8]
    assert found["job"]["looked_at"] == 13000
    assert isinstance(Shape(**found["shape"]), Shape)
