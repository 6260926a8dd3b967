"""The explorer over the tiny model and a few random pictures with objects."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import coco_scene
import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from playwright import sync_api as playwright
from starlette.testclient import TestClient

import retinoscope as rs
from retinoscope.app import Limits, Session, create_app
from retinoscope.app.listening import address, bound, server
from retinoscope.app.session import new_session
from retinoscope.data import load_image, open_data
from retinoscope.lens import FittedLens, model_key
from retinoscope.models import load, mean_token
from tests.app.gestures import PATIENCE, ready

QUESTION = "Is there a dog in this image ?"

LIMITS = Limits(upload_bytes=200_000, pixels=40_000, body_bytes=4096, images=2, views=2)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coco_scene.write(tmp_path_factory.mktemp("scenes") / "coco")


@pytest.fixture(scope="session")
def vlm(folder: Path) -> rs.VLM:
    return rs.load(folder)


@pytest.fixture
def session(vlm: rs.VLM, folder: Path, scenes: Path) -> Session:
    data = f"coco:{scenes}"
    return new_session(vlm, str(folder), data, open_data(data), LIMITS, max_new_tokens=6)


def probe(session: Session) -> FittedLens:
    """A lens that knows four tokens, and nothing in the last place."""
    checkpoint = session.vlm.checkpoint
    width = checkpoint.parts.embedding.get_parameter("weight").shape[1]
    places, source = session.layer_count + 1, torch.Generator().manual_seed(3)
    directions = torch.randn(places, 4, width, generator=source)
    directions[-1] = 0
    tensors = {
        "directions": directions,
        "offsets": torch.zeros(places, 4),
        "tokens": torch.tensor([4, 9, 12, 20]),
    }
    return FittedLens("probe", tensors, model_key(checkpoint), {})


@dataclass(frozen=True)
class Browser:
    """Asks as the page does."""

    client: TestClient

    def ask(
        self, verb: str, images: Sequence[str] = ("example-0",), **fields: Any
    ) -> dict[str, Any]:
        """The last event that a question ends in."""
        prompt = {"images": images, "question": QUESTION}
        response = self.client.post(f"/api/{verb}", json={"prompt": prompt, **fields})
        return self.last(response)

    @staticmethod
    def last(response: Any) -> dict[str, Any]:
        """The last line of an answer."""
        return json.loads(response.text.splitlines()[-1])

    def result(self, verb: str, **fields: Any) -> dict[str, Any]:
        event = self.ask(verb, **fields)
        assert event["event"] == "result", event
        return event["result"]

    def upload(self, data: bytes, name: str = "photo.png") -> Any:
        return self.client.post("/api/images", content=data, headers={"X-File-Name": name})


@pytest.fixture
def browser(session: Session) -> Iterator[Browser]:
    with TestClient(create_app(session), base_url="http://localhost:8410") as client:
        yield Browser(client)


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """A small random picture in a file format."""

    def encode(kind: str = "PNG", size: tuple[int, int] = (60, 50), **options: Any) -> bytes:
        pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format=kind, **options)
        return file.getvalue()

    return encode


@pytest.fixture
def view(session: Session) -> rs.View:
    """The run behind example-0, recorded through the library alone."""
    return session.vlm.look(
        session.examples["example-0"].image, QUESTION, max_new_tokens=session.max_new_tokens
    )


@contextmanager
def served(session: Session) -> Iterator[str]:
    """The explorer on a free port of this machine: its address."""
    with bound("127.0.0.1", 0) as listening:
        serving = server(session, listening)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        yield address(listening)
        serving.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The explorer, its model's mean taken over a few scenes only."""
    dataset = open_data("embedded:4", seed=7)
    checkpoint = load("embedded")
    mean = mean_token(checkpoint, (load_image(sample) for sample in dataset.samples)).value
    vlm = rs.VLM(replace(checkpoint, mean=mean))
    session = new_session(vlm, "embedded", "embedded:4", dataset, Limits(), max_new_tokens=12)
    with served(session) as address:
        yield address


@contextmanager
def visited(chromium: playwright.Browser, url: str) -> Iterator[playwright.Page]:
    """The page, looked at with the first example; what it complains of or sends away fails."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    playwright.expect.set_options(timeout=PATIENCE)
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    sent: list[str] = []
    opened.on("request", lambda request: sent.append(request.url))
    opened.goto(url)
    ready(opened)
    yield opened
    context.close()
    # Chromium itself reports every refused request; these are the tests' own.
    assert [text for text in wrong if not text.startswith("Failed to load resource")] == []
    assert {urlsplit(place).netloc for place in sent} == {urlsplit(url).netloc}


@pytest.fixture
def page(chromium: playwright.Browser, url: str) -> Iterator[playwright.Page]:
    """The explorer of the embedded model, looked at with the first example."""
    with visited(chromium, url) as opened:
        yield opened
