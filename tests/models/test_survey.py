"""The list of what works, falls back, is unplaced or refused is what is found, class by class."""

from __future__ import annotations

import pytest

from retinoscope.models.support import MEANING, Support, supported
from tests.models import survey

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:No family describes:UserWarning"),
]

AGAIN = "Make the list again: python -m tests.models.survey"
ROWS = {row.model_type: row for row in supported()}


def test_the_list_has_every_class_of_the_mapping_once() -> None:
    assert len(ROWS) == len(supported())
    assert {kind: row.class_name for kind, row in ROWS.items()} == survey.CLASSES, AGAIN
    assert {row.status for row in ROWS.values()} == set(MEANING)


def test_what_is_less_than_whole_has_its_reason() -> None:
    for row in ROWS.values():
        assert row.reason or row.status in ("works", "not tried"), row


@pytest.mark.parametrize("kind", sorted(survey.CLASSES))
def test_the_list_says_what_is_found(kind: str) -> None:
    assert ROWS[kind] == survey.surveyed(kind), AGAIN


def test_the_page_is_the_list() -> None:
    rows = sorted(ROWS.values(), key=lambda row: row.model_type)
    assert survey.PAGE.read_text("utf-8") == survey.page(rows), AGAIN


def test_a_class_that_changes_its_status_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "llava"
    monkeypatch.setitem(survey.TINY, kind, survey.TINY["qwen4_exp"])
    assert survey.surveyed(kind) == Support(
        kind,
        survey.CLASSES[kind],
        "falls back",
        ROWS["qwen4_exp"].reason,
        ROWS["qwen4_exp"].sites,
    )
