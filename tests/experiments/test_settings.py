"""Settings suit the model and the protocol, and the command line changes what it is asked to."""

from __future__ import annotations

from dataclasses import replace

import pytest

import retinoscope.runs
from retinoscope.cli.main import commands
from retinoscope.experiments import Settings, settings_for
from retinoscope.results import MENDED, PAPER, Protocol
from retinoscope.runs import Plan


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
        ("embedded", MENDED, 30, 13),
        ("embedded", PAPER, 200, 129),
        ("embedded", Protocol(gradient_of_bos=True), 30, 129),
        ("llava-hf/llava-1.5-7b-hf", MENDED, 200, 13),
        ("llava-hf/llava-1.5-7b-hf", PAPER, 200, 129),
    ],
)
def test_settings_suit_model_and_protocol(
    model: str, protocol: Protocol, tokens: int, nodes: int
) -> None:
    made = settings_for(model, protocol)
    assert (made.max_new_tokens, made.gradient_nodes, made.protocol) == (tokens, nodes, protocol)
    assert replace(made, max_new_tokens=200, gradient_nodes=13, protocol=MENDED) == Settings()


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
    assert plan.settings.protocol == (PAPER if "paper" in arguments else MENDED)
