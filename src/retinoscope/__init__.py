"""Retinoscope: look inside the eye of a vision-language model.

    import retinoscope as rs

    vlm = rs.load("embedded")
    view = vlm.look("photo.png", "Is there a dog in this image?")
    dog = view.tokens.box(20, 40, 90, 110)
    view.answer()                      # 'Yes'
    view.answer(rs.Ablate(dog))        # 'No'

Names are imported when they are first used, so that reading a run's results never waits for
torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retinoscope import results
    from retinoscope.api import (
        VLM,
        Attributed,
        Explained,
        Finding,
        Forced,
        Interchange,
        Leaning,
        Lens,
        Paths,
        PollExplanation,
        Predictions,
        Prompt,
        Scores,
        Tokens,
        Video,
        View,
        Word,
        answers,
        explain_poll,
        interchange,
        load,
        mean_token,
        paths,
        yes,
    )
    from retinoscope.errors import RetinoscopeError
    from retinoscope.interventions import (
        Ablate,
        Edge,
        Knockout,
        Noise,
        Patch,
        PathPatch,
        Site,
        SitePatch,
        Steer,
        Write,
    )
    from retinoscope.tokens import TokenSet

    __version__: str

__all__ = [
    "VLM",
    "Ablate",
    "Attributed",
    "Edge",
    "Explained",
    "Finding",
    "Forced",
    "Interchange",
    "Knockout",
    "Leaning",
    "Lens",
    "Noise",
    "Patch",
    "PathPatch",
    "Paths",
    "PollExplanation",
    "Predictions",
    "Prompt",
    "RetinoscopeError",
    "Scores",
    "Site",
    "SitePatch",
    "Steer",
    "TokenSet",
    "Tokens",
    "Video",
    "View",
    "Word",
    "Write",
    "__version__",
    "answers",
    "explain_poll",
    "interchange",
    "load",
    "mean_token",
    "paths",
    "results",
    "yes",
]

_HOMES = {
    "api": (
        "VLM Attributed Explained Finding Forced Interchange Leaning Lens Paths "
        "PollExplanation Predictions Prompt Scores Tokens Video View Word answers explain_poll "
        "interchange load mean_token paths yes".split()
    ),
    "errors": ("RetinoscopeError",),
    "interventions": (
        "Ablate Edge Knockout Noise Patch PathPatch Site SitePatch Steer Write".split()
    ),
    "tokens": ("TokenSet",),
}


def __getattr__(name: str) -> Any:
    if name == "results":
        return import_module("retinoscope.results")
    if name == "__version__":
        return import_module("importlib.metadata").version("retinoscope")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"retinoscope.{home}"), name)
    raise AttributeError(f"module 'retinoscope' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
