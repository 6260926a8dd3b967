"""Protocols can be named, read back, and are described."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.errors import RunError
from retinoscope.results.protocol import (
    CORRECTED,
    NOT_REPEATED,
    PAPER,
    SWITCHES,
    Protocol,
    parse_protocol,
    protocol_name,
    recorded_protocol,
)

DOCS = Path(__file__).parents[2] / "docs" / "experiments.md"
NAMES = [switch.name for switch in SWITCHES]
PROTOCOLS = st.builds(Protocol, **{name: st.booleans() for name in NAMES})


def test_the_presets_are_none_and_all() -> None:
    assert not any(asdict(CORRECTED).values())
    assert all(asdict(PAPER).values())
    assert (protocol_name(CORRECTED), protocol_name(PAPER)) == ("corrected", "paper")


@given(PROTOCOLS)
def test_a_protocol_is_read_back_from_its_name(protocol: Protocol) -> None:
    assert parse_protocol(protocol_name(protocol)) == protocol


@given(PROTOCOLS)
def test_a_protocol_is_read_back_from_a_manifest(protocol: Protocol) -> None:
    configuration = json.loads(json.dumps({"settings": {"protocol": asdict(protocol)}}))
    assert recorded_protocol(configuration) == protocol


def test_a_run_that_names_no_protocol_is_mended() -> None:
    assert recorded_protocol({"limit": 3}) == CORRECTED


def test_single_switches_are_added_and_taken_away() -> None:
    assert parse_protocol("corrected, +double_norm") == Protocol(double_norm=True)
    assert parse_protocol("mended, +double_norm") == Protocol(double_norm=True)  # its old name
    less = parse_protocol("paper,-double_norm,-prefix_match")
    assert {name for name in NAMES if not getattr(less, name)} == {"double_norm", "prefix_match"}


@pytest.mark.parametrize(
    "text", ["", "papers", "paper,double_norm", "paper,-magic", "+double_norm", "paper,"]
)
def test_an_unknown_protocol_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(RunError, match=r"corrected or paper.*whole_pixel_pitch"):
        parse_protocol(text)


def test_switches_of_another_version_are_refused() -> None:
    with pytest.raises(RunError, match="magic"):
        recorded_protocol({"settings": {"protocol": {"magic": True}}})


def test_every_switch_says_what_it_means() -> None:
    for switch in SWITCHES:
        assert switch.original and switch.here and switch.original != switch.here
        assert switch.scoring == bool(switch.measure)
    assert all(original and why for original, why in NOT_REPEATED)


def test_the_documentation_lists_every_switch_and_no_other() -> None:
    rows = [line.split("|") for line in DOCS.read_text("utf-8").splitlines() if "|" in line]
    first = [row[1].strip().strip("`") for row in rows]
    listed = first[first.index("switch") + 2 :][: len(NAMES)]
    assert listed == NAMES
    kinds = [row[2].strip() for row in rows if row[1].strip().strip("`") in NAMES]
    assert kinds == ["scoring" if switch.scoring else "measuring" for switch in SWITCHES]
