"""Settings suit the model and the protocol, and the command line changes what it is asked to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import retinoscope.runs
from retinoscope.cli.main import commands
from retinoscope.data import open_data
from retinoscope.experiments import Settings, settings_for
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.knockout.settings import KnockoutSettings
from retinoscope.models import load
from retinoscope.results import CORRECTED, PAPER, Protocol
from retinoscope.results.manifest import configuration_key
from retinoscope.results.own_settings import OwnSettings, recorded, shown, typed
from retinoscope.runs import Plan
from retinoscope.runs.plan import configuration


class Planned(Exception):
    """Carries the plan out of the command."""


def planned(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Plan:
    def run(plan: Plan, _: object) -> None:
        raise Planned(plan)

    monkeypatch.setattr(retinoscope.runs, "run", run)
    with pytest.raises(Planned) as found:
        commands(["reproduce", *arguments], standalone_mode=False)
    return found.value.args[0]


@pytest.mark.parametrize(
    ("model", "protocol", "tokens", "nodes"),
    [
        ("embedded", CORRECTED, 30, 13),
        ("embedded", PAPER, 200, 129),
        ("embedded", Protocol(gradient_of_bos=True), 30, 129),
        ("llava-hf/llava-1.5-7b-hf", CORRECTED, 200, 13),
        ("llava-hf/llava-1.5-7b-hf", PAPER, 200, 129),
    ],
)
def test_settings_suit_model_and_protocol(
    model: str, protocol: Protocol, tokens: int, nodes: int
) -> None:
    made, own = settings_for(model, protocol), AblationSettings.suited(model, protocol)
    assert (made.max_new_tokens, own.gradient_nodes, made.protocol) == (tokens, nodes, protocol)
    assert replace(made, max_new_tokens=200, protocol=CORRECTED) == Settings()
    assert replace(own, gradient_nodes=13) == AblationSettings()


@pytest.mark.parametrize(
    ("arguments", "tokens"),
    [
        ([], 30),
        (["--protocol", "paper"], 200),
        (["--model", "some/model"], 200),
        (["--model", "some/model", "--max-new-tokens", "12"], 12),
        (["--protocol", "paper", "--max-new-tokens", "12"], 12),
    ],
)
def test_the_command_line_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], tokens: int
) -> None:
    plan = planned(monkeypatch, *arguments)
    assert plan.settings.max_new_tokens == tokens
    assert plan.settings.protocol == (PAPER if "paper" in arguments else CORRECTED)


def test_an_experiments_own_settings_are_typed_recorded_and_part_of_the_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = ["--set", "knockout.sweeps=layer", "--set", "ablation.sizes=none"]
    plan = planned(monkeypatch, *given, "--set", "ablation.gradient_tolerance=0.5")
    assert plan.own_settings("knockout") == KnockoutSettings(("layer",))
    assert plan.own_settings("lens") == OwnSettings()
    wanted = AblationSettings(sizes=(), gradient_tolerance=0.5)
    assert plan.own_settings("ablation") == wanted
    assert recorded(wanted) == {
        "sizes": [],
        "register_deviations": 2.0,
        "gradient_nodes": 13,
        "gradient_tolerance": 0.5,
    }


@pytest.mark.parametrize("kind", [AblationSettings, KnockoutSettings])
def test_what_is_shown_of_settings_means_the_same_when_typed(kind: type[OwnSettings]) -> None:
    assert typed(kind(), shown(kind)) == kind()


def test_settings_suit_a_protocol_before_they_are_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(monkeypatch, "--protocol", "paper", "--set", "ablation.sizes=5")
    assert plan.own_settings("ablation") == AblationSettings(sizes=(5,), gradient_nodes=129)


@dataclass(frozen=True)
class Extended(Plan):
    """A plan with a field that nobody told the configuration of."""

    angle: int = 3


def test_a_new_field_of_a_plan_is_part_of_what_a_run_folder_belongs_to() -> None:
    dataset = open_data("embedded:1")
    plan = Extended(Path("here"), mean_file=None, workers=3, command="typed")
    found = configuration(plan, load("embedded"), dataset, None)
    assert found["angle"] == 3
    assert found["experiments"]["knockout"] == {"sweeps": ["layer", "head"]}
    assert not {"out", "workers", "command", "device"} & found.keys()
    configuration_key(found)
