"""Names that mean ill, in the explorer: of the model, of classes, questions and files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

import retinoscope as rs
from retinoscope.app import Session
from retinoscope.app.listening import address, bound, server
from retinoscope.app.session import new_session
from retinoscope.data import Dataset, open_data
from retinoscope.data.samples import Question
from tests.app.conftest import LIMITS
from tests.app.gestures import PATIENCE, ready
from tests.attack.mutations import NAMES

pytestmark = pytest.mark.browser

MEANT = tuple(name for name in NAMES if name.strip() and "\ud800" not in name)


def _renamed(dataset: Dataset) -> Dataset:
    """The same pictures, whose things and questions are named ill."""
    odd = iter(MEANT * 9)
    samples = tuple(
        replace(
            sample,
            annotations=tuple(replace(one, class_name=next(odd)) for one in sample.annotations),
            questions=tuple(Question(name[:400], kind="free") for name in MEANT[:8]),
        )
        for sample in dataset.samples
    )
    return replace(dataset, samples=samples)


@pytest.fixture(scope="module")
def url(vlm: rs.VLM, scenes: Path) -> Iterator[str]:
    """The explorer over a tiny model, everything in it named ill."""
    data = _renamed(open_data(f"coco:{scenes}"))
    session: Session = new_session(vlm, "".join(MEANT), "coco:x", data, LIMITS, max_new_tokens=4)
    with bound("127.0.0.1", 0) as listening:
        serving = server(session, listening)
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]})
        thread.start()
        yield address(listening)
        serving.should_exit = True
        thread.join()


def test_no_name_runs_or_breaks_out(url: str, chromium: Browser, encoded, tmp_path: Path) -> None:
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}"))
    page.on("request", lambda one: None if one.url.startswith(url) else wrong.append(one.url))
    page.goto(url)
    ready(page)
    for example in page.locator("#examples button").all():
        example.click()
        ready(page)
        for question in page.locator("#asked button").all()[:3]:
            question.click()
            ready(page)
    for name in MEANT[4:9]:
        page.locator("#question").fill(name[:400].replace("\0", ""))
        page.locator("#question").press("Enter")
        ready(page)
    odd = tmp_path / "<img src=x onerror=window.owned=1>\u202egnp.png"
    odd.write_bytes(encoded(size=(90, 60)))
    page.set_input_files("#file", odd)
    expect(page.locator("#image-title")).to_contain_text("_img src_x onerror_window.owned_1_")
    ready(page)
    assert page.evaluate("window.owned === undefined")
    assert page.evaluate("document.querySelector('img[src=x], [onerror]') === null")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not set("\u202e\u2028\0") & set(
        page.locator("#model, #image-title").all_inner_texts()[0]
    )
    page.close()
    assert wrong == []
