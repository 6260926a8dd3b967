"""What every test runs under: checked shapes, one thread a worker, no network, its own cache."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["HF_HUB_OFFLINE"] = "1"

from jaxtyping import install_import_hook

import tests.typecheck  # noqa: F401 - the hook finds it as an attribute of `tests`

# Every annotation of the package, tensor shapes included, is checked at every call in the tests.
install_import_hook("retinoscope", "tests.typecheck.check")

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A busy machine takes its time; no test is about that.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's own cache out of the tests, and the tests out of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def variants(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the variants as they stand in the checkout, installed or not."""
    from retinoscope import shipped

    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "variants" / "src"))
    monkeypatch.delitem(sys.modules, shipped.VARIANTS, raising=False)
    found = shipped.variants_folder()
    assert found is not None
    return found


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A real browser; where there is none the test is skipped, and says so."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("No Chromium is installed (Debian: apt-get install chromium).")
    from playwright.sync_api import sync_playwright

    # Chromium's own sandbox can't be set up by root, nor by anyone in most containers.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()
