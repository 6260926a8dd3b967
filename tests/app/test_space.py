"""The example Space: its card is one, and its app serves the explorer in the hub's frame."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import SpaceCard
from starlette.testclient import TestClient

from retinoscope.app import Session

SPACE = Path(__file__).parents[2] / "examples" / "space"


def test_the_card_says_how_the_space_is_run() -> None:
    data = SpaceCard.load(SPACE / "README.md").data
    assert (data.sdk, data.license) == ("docker", "apache-2.0")
    assert len(data.to_dict()["short_description"]) <= 60
    dockerfile = (SPACE / "Dockerfile").read_text("utf-8")
    assert f'"--port", "{data.app_port}"' in dockerfile
    for name in ("app.py", "requirements.txt"):
        assert name in dockerfile and (SPACE / name).exists()


def test_the_explorer_is_served_to_any_name_and_framed_by_the_hub_alone(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retinoscope.app.session.open_session", lambda model: session)
    app: Any = runpy.run_path(str(SPACE / "app.py"))["space"]()
    with TestClient(app, base_url="https://name-retinoscope.hf.space") as client:
        page, model = client.get("/"), client.get("/api/model")
    assert page.status_code == model.status_code == 200 and "Retinoscope" in page.text
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors https://huggingface.co" in policy and "'none'" in policy
    assert "frame-ancestors 'none'" not in policy
