"""`retinoscope models` prints what works and what doesn't."""

from __future__ import annotations

import json

import pytest

from retinoscope.cli.models import models
from retinoscope.models.family import families
from retinoscope.models.support import MEANING, supported


def test_every_class_has_its_line_and_every_status_its_meaning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    models(as_json=False, verbose=True)
    output = capsys.readouterr().out
    for row in supported():
        assert row.model_type in output
    for status, meaning in MEANING.items():
        assert status in output and meaning[:40] in output


def test_without_more_each_class_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    models(as_json=False, verbose=False)
    lines = capsys.readouterr().out.splitlines()
    for row in supported():
        (line,) = [one for one in lines if one.split()[:1] == [row.model_type]]
        assert row.status in line
    assert max(map(len, lines)) <= 120


def test_json_holds_the_classes_and_the_families(
    capsys: pytest.CaptureFixture[str],
) -> None:
    models(as_json=True, verbose=False)
    found = json.loads(capsys.readouterr().out)
    assert [row["model_type"] for row in found["classes"]] == [r.model_type for r in supported()]
    assert {row["family"] for row in found["families"]} == {f.name for f in families().values()}
    (llava,) = (row for row in found["classes"] if row["model_type"] == "llava")
    assert llava == {
        "model_type": "llava",
        "class_name": "LlavaForConditionalGeneration",
        "status": "works",
        "reason": "",
        "sites": "all",
        "family": "LLaVA-1.5",
    }
