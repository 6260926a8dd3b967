"""Lens sheets: everything that a lens page shows of one image."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from retinoscope.data import Annotation, object_mask
from retinoscope.engine import Recording, generate, look
from retinoscope.errors import SampleError, SelectionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.montage import Montage, montage
from retinoscope.experiments.outline import outlines
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target
from retinoscope.interventions import Ablate, Condition
from retinoscope.lens import StateLens, read_changed
from retinoscope.models import Checkpoint, as_prompt
from retinoscope.results.sheet import LensSheet, ObjectOutline
from retinoscope.tasks import first_tokens, spelled
from retinoscope.tasks.describe import QUESTION
from retinoscope.tokens import TokenLayout, TokenSet

WORDS_KEPT = 8
"""Top words of each token and layer that a lens page shows."""


def clean(bench: Bench, target: Target) -> LensSheet:
    """The sheet of one object's image as it is."""
    return lens_sheet(bench.checkpoint, target, bench.settings)


def without_object(bench: Bench, target: Target) -> LensSheet:
    """The sheet with the object +1 replaced."""
    return ablated_sheet(bench.checkpoint, target, bench.settings)


def lens_sheet(checkpoint: Checkpoint, target: Target, settings: Settings) -> LensSheet:
    """Everything a lens page shows of one target's image, on the clean run."""
    recording = look(checkpoint, target.image, QUESTION, max_new_tokens=settings.max_new_tokens)
    return _target_sheet(recording, target, settings, (), "clean")


def ablated_sheet(checkpoint: Checkpoint, target: Target, settings: Settings) -> LensSheet:
    """The same with the object +1 replaced by the first of the settings' values, mean or zero.

    Raises:
        SelectionError: no visual token lies on the object.
        InterventionError: the model's mean visual token is not known.
    """
    recording = look(checkpoint, target.image, QUESTION, max_new_tokens=settings.max_new_tokens)
    tokens = covered(target, target.annotation, recording.encoded.layout, settings)
    if tokens is None:
        raise SelectionError(f"No visual token lies on the object {target.key}.")
    value = "zero" if settings.values[0] == "zero" else "mean"
    condition = (Ablate(tokens.dilate(1), value),)
    name = f"object +1 replaced by {'zero' if value == 'zero' else 'the mean token'}"
    return _target_sheet(recording, target, settings, condition, name)


def _target_sheet(
    recording: Recording, target: Target, settings: Settings, condition: Condition, name: str
) -> LensSheet:
    layout = recording.encoded.layout
    objects = [
        ObjectOutline(
            a.class_name, outlines(object_mask(target.sample, a)), _indices(layout, found)
        )
        for a in target.sample.annotations
        if (found := covered(target, a, layout, settings)) is not None
    ]
    classes = tuple(dict.fromkeys(outline.class_name for outline in objects))
    title = target.sample.path.name
    shown = montage(layout, as_prompt(target.image))
    return read_sheet(recording, title, shown, classes, objects, condition, name)


def read_sheet(
    recording: Recording,
    title: str,
    shown: Montage,
    words: Sequence[str],
    objects: Sequence[ObjectOutline],
    condition: Condition = (),
    name: str = "clean",
    lens: StateLens | None = None,
) -> LensSheet:
    """A lens sheet of a recorded run, with the model's answer.

    Args:
        recording: the clean run, with room for the answer.
        title: what to call the image.
        shown: the picture, see `montage`.
        words: words to keep exactly for every token and layer; those that the tokenizer can't
            spell are left out.
        objects: outlines to draw.
        condition: the interventions in force; () is the clean run.
        name: the condition in words.
        lens: what reads the states; None is the logit lens.

    Raises:
        InterventionError: the condition can't be applied, or the recording has no room.
    """
    tokenizer = recording.checkpoint.tokenizer
    layout = recording.encoded.layout
    tracked = {word: ids[0] for word in words if (ids := first_tokens(tokenizer, [word]))}
    answer = recording.checkpoint.text(generate(recording, [condition])[0].tokens)
    reading = read_changed(
        recording,
        condition,
        layout.visual,
        k=min(WORDS_KEPT, recording.logits.shape[-1]),
        tracked=list(tracked.values()),
        lens=lens,
    )
    used, top = np.unique(reading.ids.numpy(), return_inverse=True)
    names = spelled(tokenizer)
    return LensSheet(
        title=title,
        prompt=recording.encoded.prompt,
        answer=answer,
        model=recording.checkpoint.name,
        condition=name,
        image=_png(shown.picture),
        size=shown.picture.size,
        boxes=shown.boxes.astype(np.float32),
        cells=shown.cells.astype(np.int32),
        vocabulary=tuple(names[token] for token in used.tolist()),
        top=top.reshape(reading.ids.shape).astype(np.int32),
        probabilities=_float(reading.probabilities),
        entropy=_float(reading.entropy),
        tracked=tuple(tracked),
        tracked_log_probability=_float(reading.log_probability),
        tracked_rank=reading.rank.numpy().astype(np.int32),
        objects=tuple(objects),
    )


def covered(
    target: Target, annotation: Annotation, layout: TokenLayout, settings: Settings
) -> TokenSet | None:
    """An annotation's tokens; None where it lies outside the crop or its mask can't be read."""
    try:
        mask = object_mask(target.sample, annotation)
        return object_tokens(layout, mask, settings)
    except (SelectionError, SampleError):
        return None


def _indices(layout: TokenLayout, tokens: TokenSet) -> tuple[int, ...]:
    place = {position: index for index, position in enumerate(layout.visual)}
    return tuple(place[position] for position in tokens)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def _float(values: Tensor) -> np.ndarray:
    return values.numpy().astype(np.float32)
