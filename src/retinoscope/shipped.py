"""Models that come with the package, or with `retinoscope-variants` beside it, by their names."""

from __future__ import annotations

import importlib.util
import json
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from retinoscope.errors import ModelError

EMBEDDED = "embedded"
"""The name of the small VLM that comes with the package; others are called "embedded/NAME"."""

VARIANTS = "retinoscope_variants"
INSTALL = "pip install retinoscope-variants, or from a checkout: pip install --no-deps ./variants"

_OWN = {
    EMBEDDED: "a small LLaVA of 32 things; nothing but answers, patches and text was trained",
    f"{EMBEDDED}/reference": "the same model, by the name it has in the study of refinement",
}
"""What comes with the package; both names are one folder."""


def is_shipped(name: object) -> bool:
    """Whether a name is "embedded" or "embedded/NAME"."""
    return isinstance(name, str) and (name == EMBEDDED or name.startswith(f"{EMBEDDED}/"))


def check_spelling(name: str) -> None:
    """Refuse what only looks like a shipped model: the hub would be asked in vain, many times.

    Raises:
        ModelError: the name is nearly "embedded".
    """
    if "/" not in name and name != EMBEDDED and get_close_matches(name.lower(), [EMBEDDED], 1, 0.8):
        raise ModelError(f"There is no model {name!r}. Did you mean {EMBEDDED!r}?")


def embedded_folder() -> Path:
    """The folder of the embedded model inside the installed package."""
    return Path(str(files("retinoscope") / "models" / EMBEDDED))


def shipped_folder(name: str) -> Path:
    """The folder of a model that comes with the package or with `retinoscope-variants`.

    Args:
        name: "embedded" or "embedded/NAME".

    Raises:
        ModelError: there is no such model, or its distribution is not installed.
    """
    if name in _OWN:
        return embedded_folder()
    variants = variants_folder()
    if variants is None:
        raise ModelError(
            f"{name} does not come with the package. Others than {', '.join(_OWN)} come with the "
            f"variants, which are not installed: {INSTALL}"
        )
    known = shipped_models()
    if name not in known:
        raise ModelError(f"There is no model {name!r}; there are {', '.join(known)}.")
    return variants / name.removeprefix(f"{EMBEDDED}/")


def variants_folder() -> Path | None:
    """The folder of the installed variants; None where `retinoscope-variants` is not installed."""
    found = importlib.util.find_spec(VARIANTS)
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (Path(folder) / "cards.json").is_file():
            return Path(folder)
    return None


def shipped_models() -> dict[str, str]:
    """Every model that is installed, by the name that `load` takes, with its card of one line."""
    variants = variants_folder()
    if variants is None:
        return dict(_OWN)
    cards = json.loads((variants / "cards.json").read_text("utf-8"))
    return _OWN | {f"{EMBEDDED}/{name}": card for name, card in cards.items()}
