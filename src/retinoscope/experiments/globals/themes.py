"""Themes: what an image as a whole is of, where the data say it, and the question about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from retinoscope.data import Sample
from retinoscope.data.scenes.classes import THEMES
from retinoscope.data.scenes.redraw import theme_of
from retinoscope.errors import SampleError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.once import OnceForRun
from retinoscope.tasks import Query, piece_tokens

FIELDS = ("theme", "location")
"""Fields of an image that say it; the second is GQA's ("indoors")."""


def theme_in(sample: Sample, pixels: np.ndarray) -> str | None:
    """The theme of an embedded scene ("kitchen"), or what the data's file says of the image."""
    return _said(sample) or theme_of(sample, pixels)


def theme_query(theme: str | None, class_name: str, said: Collection[str], tokenizer: Any) -> Query:
    """Ask which of the data's themes an image has.

    Args:
        theme: the right one, of `theme_in`.
        class_name: of the object whose image it is.
        said: the themes that the data's files name, of `themes_said`.
        tokenizer: the model's.

    Raises:
        SampleError: the data don't say the theme, or say the same of every image; or the model
            can't say it.
    """
    if theme is None:
        raise SampleError("the data don't say the image's theme")
    choices = sorted(said if theme in said else THEMES)
    if len(choices) < 2:
        raise SampleError(f"every image of the data has the theme {theme!r}: nothing to choose")
    right = piece_tokens(tokenizer, [theme])
    if not right:
        raise SampleError(
            f"the tokenizer can't spell {theme!r}: this model can't say what an image is of"
        )
    listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
    return Query("theme", class_name, f"Which of these fits the image best: {listed}?", right=right)


def _every(bench: Bench[Any]) -> frozenset[str]:
    return frozenset(one for sample, _ in bench.candidates if (one := _said(sample)) is not None)


themes_said = OnceForRun("globals-themes", _every)
"""The themes that the files of a run's data name."""


def _said(sample: Sample) -> str | None:
    return next((one for name in FIELDS if isinstance(one := sample.raw.get(name), str)), None)
