"""From an image and a question to the model's inputs and the layout of its sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import TemplateError
from PIL import Image
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.errors import ModelError, SampleError, TokenMapError
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.views import image_token
from retinoscope.tokens import TokenLayout, VisualSpan

_IN_TEMPLATES = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)
"""What a template's own expressions raise, beside jinja's errors."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """One prompt, ready for the model.

    Attributes:
        inputs: the processor's outputs on the model's device, batch of one.
        layout: the sequence's length and its visual tokens.
        prompt: the whole text that was given to the processor.
    """

    inputs: Mapping[str, Tensor]
    layout: TokenLayout
    prompt: str

    __repr__ = brief_fields


def encode(
    checkpoint: Checkpoint,
    images: Image.Image | Sequence[Image.Image],
    question: str,
    *,
    prefix: str = "",
) -> Encoded:
    """The model's inputs for one image (or several) and a question.

    Args:
        checkpoint: the model.
        images: one RGB image, or several in one prompt.
        question: what to ask, as a user would write it.
        prefix: the beginning of the answer, such as "It is a" (paper, section 3.1).

    Raises:
        ModelError: there is no image.
        SampleError: the processor refuses the image or the prompt; it may take others.
        TokenMapError: the sequence's visual tokens don't match the image's geometry.
    """
    pictures = as_pictures(images)
    prompt = written_prompt(checkpoint, question, len(pictures))
    prompt = answer_begun(prompt, prefix)
    try:
        inputs = checkpoint.processor(images=pictures, text=prompt, return_tensors="pt")
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise SampleError(
            f"The processor of {checkpoint.name} refused {len(pictures)} image(s) with the prompt "
            f"{prompt!r}: {error}"
        ) from error
    layout = find_layout(checkpoint, inputs, [picture.size for picture in pictures])
    # PaliGemma's processor adds labels, which would make the model believe that it is trained.
    tensors = {
        k: v.to(checkpoint.device)
        for k, v in inputs.items()
        if isinstance(v, Tensor) and k != "labels"
    }
    cast = {
        k: v.to(checkpoint.model.dtype) if v.is_floating_point() else v for k, v in tensors.items()
    }
    return Encoded(cast, layout, prompt)


def as_pictures(images: object) -> list[Image.Image]:
    """One image or several as a list.

    Args:
        images: what somebody gave as the image.

    Raises:
        ModelError: it is no PIL image, or a list without one.
    """
    pictures = list(images) if isinstance(images, (list, tuple)) else [images]
    found = [picture for picture in pictures if isinstance(picture, Image.Image)]
    if found and len(found) == len(pictures):
        return found
    wrong = [type(given).__name__ for given in pictures if not isinstance(given, Image.Image)]
    raise ModelError(
        f"An image is needed, as a PIL image; got {', '.join(wrong) or 'an empty list'}. A file is "
        "read by retinoscope.data.open_image(path), an array becomes one by "
        "PIL.Image.fromarray(array)."
    )


def written_prompt(checkpoint: Checkpoint, question: str, images: int = 1) -> str:
    """The prompt in the processor's chat template, or in the family's plain form without one."""
    processor = checkpoint.processor
    if getattr(processor, "chat_template", None):
        content: list[dict[str, str]] = [{"type": "image"} for _ in range(images)]
        turn = {"role": "user", "content": [*content, {"type": "text", "text": question}]}
        try:
            return processor.apply_chat_template([turn], add_generation_prompt=True)
        except (TemplateError, *_IN_TEMPLATES) as error:
            raise ModelError(
                f"The chat template of {checkpoint.name} can't be filled "
                f"({type(error).__name__}: {error}); mend it, or save the processor without one."
            ) from error
    family = checkpoint.family
    image = family.image.format(token=getattr(processor, "image_token", "<image>"))
    form = family.prompt if isinstance(family.prompt, str) else family.prompt(processor)
    return form.format(image=image * images, question=question)


def answer_begun(prompt: str, prefix: str) -> str:
    """The prompt with the beginning of an answer, parted by a space unless a line's end does."""
    return f"{prompt}{'' if prompt[-1:].isspace() else ' '}{prefix}" if prefix else prompt


def find_layout(
    checkpoint: Checkpoint, inputs: Mapping[str, Any], sizes: Sequence[tuple[int, int]]
) -> TokenLayout:
    """Where the image tokens stand, checked against each image's geometry.

    Raises:
        TokenMapError: the number of image tokens is not the number that the geometry says.
    """
    config, family = checkpoint.model.config, checkpoint.family
    ids: Tensor = inputs["input_ids"][0]
    positions = np.flatnonzero((ids == image_token(config)).numpy(force=True))
    grids = [
        family.grid(config, checkpoint.processor, size, inputs, index)
        for index, size in enumerate(sizes)
    ]
    slots = [family.slots(grid) for grid in grids]
    wanted = sum(len(marks) for marks in slots)
    if len(positions) != wanted:
        raise TokenMapError(
            f"The prompt holds {len(positions)} image tokens but the geometry of {family.name} has "
            f"{wanted} for images of size {list(sizes)}; the processor of {checkpoint.name} does "
            "not fit the model."
        )
    spans: list[VisualSpan] = []
    start = 0
    for grid, marks in zip(grids, slots, strict=True):
        own = positions[start : start + len(marks)][marks]
        spans.append(VisualSpan(tuple(own.tolist()), grid))
        start += len(marks)
    return TokenLayout(len(ids), tuple(spans))
