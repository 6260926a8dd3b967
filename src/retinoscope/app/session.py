"""Session: one model, its pictures and its recorded runs, behind the explorer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from retinoscope.api import EMBEDDED, VLM, View, load
from retinoscope.app.limits import Limits
from retinoscope.app.pictures import Picture, read_examples
from retinoscope.app.requests import Prompt
from retinoscope.app.shelf import Shelf
from retinoscope.app.writing import Say
from retinoscope.data import Dataset, open_data
from retinoscope.errors import SampleError, SelectionError
from retinoscope.lens import FittedLens
from retinoscope.runs import Progress
from retinoscope.runs.lens_fit import fitted_lenses
from retinoscope.tokens import TokenSet

EXAMPLES = "embedded:12"
EXAMPLE_SEED = 20_410
"""Seed of the scenes that serve as examples."""

MAX_NEW_TOKENS = 40
"""Most tokens of an answer."""


@dataclass(frozen=True, eq=False)
class Session:
    """What the explorer works on. Recorded runs are used by the model's one thread alone.

    Attributes:
        vlm: the model.
        model: its name, as `retinoscope.load` takes it.
        data: where the examples come from, as `retinoscope.data.open_data` takes it.
        examples: the example pictures by key.
        uploads: uploaded pictures by key.
        views: recorded runs.
        limits: what is bounded.
        max_new_tokens: most tokens of an answer.
        options: what else `retinoscope.load` was given.
        lenses: lenses that were fitted on this model, by name.
    """

    vlm: VLM
    model: str
    data: str
    examples: Mapping[str, Picture]
    uploads: Shelf[Picture]
    views: Shelf[View]
    limits: Limits
    max_new_tokens: int = MAX_NEW_TOKENS
    options: Mapping[str, Any] = field(default_factory=dict)
    lenses: Mapping[str, FittedLens] = field(default_factory=dict)

    @property
    def layer_count(self) -> int:
        """Number of decoder layers."""
        return self.vlm.checkpoint.layer_count

    @property
    def mean_known(self) -> bool:
        """Whether tokens can be replaced by the mean visual token."""
        return self.vlm.checkpoint.mean is not None


def open_session(
    model: str = EMBEDDED,
    *,
    data: str = EXAMPLES,
    limits: Limits | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Session:
    """Load a model and some examples.

    Args:
        model: "embedded", a folder or a hub name.
        data: what the examples are taken from.
        limits: what is bounded.
        max_new_tokens: most tokens of an answer.
        options: "revision", "dtype", "device", "device_map", "mean_images" and "mean_count", as
            `retinoscope.load` takes them.
        progress: told of the mean visual token's images.

    Raises:
        ModelError, DataError: the model or the examples can't be used.
    """
    dataset = open_data(data, seed=EXAMPLE_SEED)
    given = dict(options or {})
    vlm = load(model, progress=progress, **given)
    session = new_session(vlm, model, data, dataset, limits or Limits(), max_new_tokens)
    return replace(session, options=given)


def new_session(
    vlm: VLM,
    model: str,
    data: str,
    dataset: Dataset,
    limits: Limits,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> Session:
    """A session over a loaded model; see `open_session`."""
    return Session(
        vlm=vlm,
        model=model,
        data=data,
        examples=read_examples(dataset, 12),
        uploads=Shelf(limits.images),
        views=Shelf(limits.views),
        limits=limits,
        max_new_tokens=max_new_tokens,
        lenses=fitted_lenses(vlm.checkpoint),
    )


def find_picture(session: Session, key: str) -> Picture:
    """The picture of that key.

    Raises:
        SampleError: there is none, or it was given up for newer ones.
    """
    picture = session.examples.get(key) or session.uploads.get(key)
    if picture is None:
        raise SampleError(
            "This picture is not held here (any more): uploads are kept in memory, a few at a "
            "time. Drop the same file in again and everything else is restored."
        )
    return picture


def find_view(session: Session, prompt: Prompt, say: Say, place: int = 0) -> View:
    """The recorded run of a prompt, recorded now if it is not held.

    Args:
        session: the model and its pictures.
        prompt: what is shown and asked.
        say: told of what is recorded.
        place: the token of the clean answer that the run's last position predicts.

    Raises:
        SampleError: no such picture.
        SampleError, TokenMapError: the model can't take it.
        SelectionError: the answer has no such place.
    """
    # As JSON, so that no letter in a question can move the border between the parts.
    key = json.dumps([prompt.images, prompt.question, prompt.prefix, place])
    view = session.views.get(key)
    if view is not None:
        return view
    if place:
        before = find_view(session, prompt, say)
        say("Recording the answer as far as the word")
        view = before.before(place)
    else:
        pictures = [find_picture(session, image).image for image in prompt.images]
        say("Recording the clean run")
        view = session.vlm.look(
            pictures,
            prompt.question,
            prefix=prompt.prefix,
            max_new_tokens=session.max_new_tokens,
        )
    session.views.put(key, view)
    return view


def chosen_tokens(view: View, patches: tuple[int, ...]) -> TokenSet:
    """The visual tokens of those indices.

    Raises:
        SelectionError: none is given, or the prompt's images have fewer.
    """
    positions = view.recording.encoded.layout.visual
    if not patches:
        raise SelectionError("Select at least one patch first.")
    if max(patches) >= len(positions):
        raise SelectionError(
            f"There are patches 0 to {len(positions) - 1}; {max(patches)} was asked for."
        )
    return view.tokens.at(*(positions[patch] for patch in patches))


def patches_of(view: View, tokens: TokenSet) -> list[int]:
    """The indices among the visual tokens of a set's members, ascending."""
    index = {p: i for i, p in enumerate(view.recording.encoded.layout.visual)}
    return [index[position] for position in tokens if position in index]
