"""Numbers and words read well, and what was not measured is a dash."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinoscope.report.visible import visible
from retinoscope.report.wording import DASH, count, duration, interval, number, percent, probability


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_nothing_is_a_dash_and_never_nan(nothing: float | None) -> None:
    assert {percent(nothing), number(nothing), probability(nothing), count(None)} == {DASH}
    assert interval(nothing, 1.0) == interval(0.0, nothing) == ""


def test_numbers() -> None:
    assert percent(0.718) == "71.8 %"
    assert interval(0.68, 0.754) == "68.0 to 75.4"
    assert number(-0.04) == "0.0"
    assert number(-1.25, 2) == "\u22121.25"
    assert (probability(0.0004), probability(0.0123), probability(1.0)) == (
        "< .001",
        ".012",
        "1.000",
    )
    assert (duration(45), duration(425), duration(7380)) == (
        *("45\u00a0s", "7\u00a0min\u00a005\u00a0s", "2\u00a0h\u00a003\u00a0min"),
    )
    assert count(12345) == "12\u202f345"


@given(st.text(st.characters(codec=None)))
def test_shown_words_can_be_written_and_hide_nothing(word: str) -> None:
    shown = visible(word)
    shown.encode("utf-8")
    for hidden in "\u202e\u2066\u200b\u2028\n\x00\x1b":
        assert hidden not in shown


def test_words_show_as_themselves() -> None:
    for word in (
        "dog",
        "<script>",
        "'\"&",
        " Hund",
        "\u72d7",
        "\U0001f468\u200d\U0001f469",
        "\ufffd",
    ):
        assert visible(word) == word
    assert visible("a\u202eb\ud800\n") == "a\\u202eb\\ud800\\n"
    assert visible("a\n\tb", lines=True) == "a\n\tb"
