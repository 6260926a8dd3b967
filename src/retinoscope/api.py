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

from retinoscope.data import open_image
from retinoscope.engine import Outcome, Recording, evaluate, generate, look
from retinoscope.interventions import Condition, Intervention
from retinoscope.lens import LensReading, read_lens
from retinoscope.models import Checkpoint
from retinoscope.models import load as load_checkpoint
from retinoscope.runs import Silent
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
            ModelError, TokenMapError: the model can't take the image.
        """
        picture = image if isinstance(image, Image.Image) else open_image(Path(image))
        picture = picture.convert("RGB")
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
        tokenizer: to write them as words.
    """

    reading: LensReading
    tokenizer: Any

    def top(self, k: int = 5) -> list[list[list[str]]]:
        """The k likeliest words of every layer and token: `top(5)[layer][token]`."""
        ids = self.reading.ids[..., :k]
        return [[self.tokenizer.batch_decode([[i] for i in t]) for t in layer] for layer in ids]


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
        tokenizer = self.recording.checkpoint.tokenizer
        return [
            tokenizer.decode(list(found.tokens), skip_special_tokens=True).strip()
            for found in generate(self.recording, conditions)
        ]

    def evaluate(self, conditions: Sequence[Condition]) -> Outcome:
        """Next-token logits under each condition."""
        return evaluate(self.recording, conditions)

    def lens(self, tokens: TokenSet | None = None, *, k: int = 10) -> Lens:
        """The logit lens over some tokens (all visual ones by default), k words each."""
        chosen = self.tokens.visual if tokens is None else tokens
        k = min(k, self.recording.logits.shape[-1])
        return Lens(read_lens(self.recording, chosen, k=k), self.recording.checkpoint.tokenizer)


def load(name_or_path: str | Path = EMBEDDED, **options: Any) -> VLM:
    """Load a vision-language model.

    The embedded model comes with its mean visual token, computed from its own scenes the first
    time and cached; for another model pass `mean=...` (see `retinoscope.mean_token`).

    Args:
        name_or_path: "embedded", a folder in Hugging Face format, or a hub name.
        options: `dtype`, `device_map`, `revision`, `quantization_config`, `mean`.

    Raises:
        ModelError: as in `retinoscope.models.load`.
    """
    checkpoint = load_checkpoint(name_or_path, **options)
    if str(name_or_path) == EMBEDDED and checkpoint.mean is None:
        scenes = mean_dataset(EMBEDDED, None, MEAN_COUNT, None)
        checkpoint, _ = with_mean(checkpoint, scenes, MEAN_COUNT, Silent())
    return VLM(checkpoint)
