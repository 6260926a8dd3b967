"""The ten lines of Python: a model, a view of one image and question, and what to ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from retinoscope.data import open_image, upright_rgb
from retinoscope.engine import Outcome, Recording, answer, evaluate, generate, look
from retinoscope.errors import InterventionError, ModelError
from retinoscope.experiments.lens import read_sheet
from retinoscope.experiments.outline import selected
from retinoscope.interventions import Condition, Intervention
from retinoscope.lens import LensReading, read_changed
from retinoscope.models import Checkpoint, as_pictures
from retinoscope.models import load as load_checkpoint
from retinoscope.report.lens_page import lens_page
from retinoscope.report.showing import HEIGHT, Shown, show
from retinoscope.runs import Progress, Silent
from retinoscope.runs.mean import mean_dataset, with_mean
from retinoscope.tokens import TokenSet, at, last, row, under, visual

EMBEDDED = "embedded"

MEAN_COUNT = 400
"""Scenes of the embedded model's mean visual token."""


@dataclass(frozen=True, eq=False)
class VLM:
    """A vision-language model, ready to be looked into; made by `load`.

    Attributes:
        checkpoint: the model's parts.
    """

    checkpoint: Checkpoint

    def look(
        self,
        image: Image.Image | str | Path,
        question: str = "Describe this image.",
        *,
        prefix: str = "",
        room: int = 40,
    ) -> View:
        """One clean run on an image and a question, recorded, to be asked many things.

        Args:
            image: a PIL image or a file.
            question: as a user would write it.
            prefix: the beginning of the answer, such as "It is a".
            room: longest answer, in tokens.

        Raises:
            SampleError: the file is no image.
            ModelError: neither an image nor a file, or more than one; the model can't take it.
            TokenMapError: the sequence's visual tokens don't match the image's geometry.
        """
        picture = _picture(image)
        return View(look(self.checkpoint, picture, question, prefix=prefix, room=room), picture)


@dataclass(frozen=True, eq=False)
class Tokens:
    """The token sets of one view.

    Attributes:
        recording: the view's run.
    """

    recording: Recording

    @property
    def visual(self) -> TokenSet:
        """All visual tokens."""
        return visual(self.recording.encoded.layout)

    @property
    def text(self) -> TokenSet:
        """All positions that hold no visual token: the words around and behind the image."""
        layout = self.recording.encoded.layout
        return at(layout, layout.text)

    def under(
        self, mask: Bool[np.ndarray, "height width"] | Tensor, *, overlap: float = 0.0
    ) -> TokenSet:
        """Visual tokens whose patch a mask in the image's pixels covers by more than `overlap`."""
        return under(self.recording.encoded.layout, np.asarray(mask, dtype=bool), overlap=overlap)

    def box(self, x0: float, y0: float, x1: float, y1: float) -> TokenSet:
        """Visual tokens that a box (in the image's pixels) touches."""
        width, height = self.recording.encoded.layout.spans[0].grid.size
        mask = np.zeros((height, width), dtype=bool)
        mask[max(0, int(y0)) : int(np.ceil(y1)), max(0, int(x0)) : int(np.ceil(x1))] = True
        return self.under(mask)

    def row(self, index: int) -> TokenSet:
        """One row of visual tokens; -1 is the last."""
        return row(self.recording.encoded.layout, index)

    def at(self, *positions: int) -> TokenSet:
        """Positions of the sequence."""
        return at(self.recording.encoded.layout, positions)


@dataclass(frozen=True, eq=False)
class Lens:
    """The logit lens over some tokens of a view.

    Attributes:
        reading: the numbers.
        view: the view that was read.
        condition: the interventions in force; () is the clean run.
    """

    reading: LensReading
    view: View
    condition: Condition = ()

    def top(self, k: int = 5) -> list[list[list[str]]]:
        """The k likeliest words of every layer and token: `top(5)[layer][token]`."""
        ids = self.reading.ids[..., :k]
        tokenizer = self.view.recording.checkpoint.tokenizer
        return [[tokenizer.batch_decode([[i] for i in t]) for t in layer] for layer in ids]

    def show(self, *words: str, height: int = HEIGHT) -> Shown:
        """The interactive lens page of the whole image, with the read tokens outlined.

        In a notebook the returned value, last in its cell, is the page itself; elsewhere a browser
        opens on a temporary file (`.path`), which is written even where there is no browser.
        `.save(path)` keeps the page. Under interventions it compares with the clean run, side by
        side.

        Args:
            words: words to follow exactly at every patch and layer.
            height: of the page in a notebook, in CSS pixels.

        Raises:
            ModelError: the model's states can't be unembedded.
        """
        recording, image = self.view.recording, self.view.image
        layout, positions = recording.encoded.layout, self.reading.positions
        objects = [] if len(positions) == len(layout.visual) else [selected(layout, positions)]
        conditions: dict[str, Condition] = {"clean": ()}
        if self.condition:
            conditions["changed"] = self.condition
        sheets = [
            read_sheet(recording, "Logit lens", image, words, objects, condition, name)
            for name, condition in conditions.items()
        ]
        return show(lens_page(*sheets), height=height)


@dataclass(frozen=True, eq=False)
class View:
    """One image and one question, run once; made by `VLM.look`.

    Attributes:
        recording: the clean run.
        image: the picture.
    """

    recording: Recording
    image: Image.Image

    @property
    def tokens(self) -> Tokens:
        """Token sets of this view: `view.tokens.under(mask)`, `view.tokens.visual`, ..."""
        return Tokens(self.recording)

    @property
    def last(self) -> TokenSet:
        """The last position, which predicts the answer's first token."""
        return last(self.recording.encoded.layout)

    def answer(self, *interventions: Intervention) -> str:
        """The greedy answer with these interventions in force; without any, the clean one."""
        return self.answers([interventions])[0]

    def answers(self, conditions: Sequence[Condition]) -> list[str]:
        """The greedy answer under each condition, generated together."""
        found = generate(self.recording, conditions)
        return [self.recording.checkpoint.text(one.tokens) for one in found]

    def evaluate(self, conditions: Sequence[Condition]) -> Outcome:
        """Next-token logits under each condition."""
        return evaluate(self.recording, conditions)

    def lens(
        self, tokens: TokenSet | None = None, *interventions: Intervention, k: int = 10
    ) -> Lens:
        """The logit lens over some tokens, k words each.

        Args:
            tokens: which; None is all visual ones.
            interventions: in force together; without any, the clean run is read.
            k: words of each token and layer.

        Raises:
            SelectionError: no token is given.
            InterventionError: an intervention can't be applied here.
        """
        chosen = self.tokens.visual if tokens is None else tokens
        k = min(k, self.recording.logits.shape[-1])
        reading = read_changed(self.recording, interventions, chosen, k=k)
        return Lens(reading, self, interventions)


def _picture(image: object) -> Image.Image:
    """The one image that somebody gave, or its file's, upright and RGB."""
    if isinstance(image, (str, Path)):
        return open_image(Path(image))
    pictures = as_pictures(image)
    if len(pictures) > 1:
        raise ModelError(f"One image is looked at at a time; got {len(pictures)}.")
    return upright_rgb(pictures[0])


def answers(views: Sequence[View], conditions: Sequence[Condition]) -> list[list[str]]:
    """The greedy answer of each view under each condition: `answers(...)[view][condition]`.

    Views of one image share what a condition changes in the image, so that many questions under
    many ablations cost little more than one question.

    Args:
        views: usually of one image with several questions, from one model.
        conditions: each a tuple of interventions in force together; positions are the same in
            every view.

    Raises:
        InterventionError: an intervention can't be applied to one of the views, or a view was
            looked at without room for an answer.
    """
    for view in views:
        if not view.recording.room:
            raise InterventionError(
                f"{view.recording.encoded.prompt!r} was looked at with room=0; an answer needs at "
                "least 1."
            )
    found = answer([(view.recording, conditions) for view in views])
    return [
        [view.recording.checkpoint.text(one.tokens) for one in response.generations]
        for view, response in zip(views, found, strict=True)
    ]


def load(
    name_or_path: str | Path = EMBEDDED,
    *,
    mean_images: str | None = None,
    mean_count: int = MEAN_COUNT,
    progress: Progress | None = None,
    **options: Any,
) -> VLM:
    """Load a vision-language model.

    The embedded model comes with its mean visual token, computed from its own scenes the first
    time and cached; for another model name images to take it over, or pass it as `mean=...` (see
    `retinoscope.mean_token`).

    Args:
        name_or_path: "embedded", a folder in Hugging Face format, or a hub name.
        mean_images: data whose images give the mean visual token, as `retinoscope.data.open_data`
            takes them ("folder:PATH", "coco:PATH", ...); computed once for a model, then cached.
        mean_count: most images of the mean.
        progress: told of the mean's images.
        options: `dtype`, `device_map`, `revision`, `quantization_config`, `mean`.

    Raises:
        ModelError: as in `retinoscope.models.load`.
        DataError: the images can't be read.
    """
    checkpoint = load_checkpoint(name_or_path, **options)
    name = str(name_or_path)
    if checkpoint.mean is None and (mean_images is not None or name == EMBEDDED):
        images = mean_dataset(EMBEDDED, mean_images, mean_count, None)
        checkpoint, _ = with_mean(checkpoint, images, mean_count, progress or Silent())
    return VLM(checkpoint)
