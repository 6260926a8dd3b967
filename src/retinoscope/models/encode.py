"""From a prompt to the model's inputs and the layout of its sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Bool
from jinja2 import TemplateError
from PIL import Image
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.errors import ModelError, SampleError, TokenMapError
from retinoscope.geometry import PatchGrid
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.family import families
from retinoscope.models.processors import Unused
from retinoscope.models.prompt import Media, Part, Prompt, Video, as_prompt
from retinoscope.models.views import image_token, video_token
from retinoscope.tokens import Medium, OfImage, OfVideo, TokenLayout, VisualSpan

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
    checkpoint: Checkpoint, media: Media, question: str | None = None, *, prefix: str = ""
) -> Encoded:
    """The model's inputs for images, videos and text.

    Args:
        checkpoint: the model.
        media: one RGB image or video, or a sequence of images, videos and texts in order.
        question: the text behind them, as a user would write it; None where they hold the text.
        prefix: the beginning of the answer, such as "It is a" (paper, section 3.1).

    Raises:
        ModelError: a part is no text, image or video.
        SampleError: the prompt is empty, or the processor refuses it; it may take others.
        TokenMapError: the sequence's visual tokens don't match the geometry of what is shown.
    """
    prompt = as_prompt(media, question)
    written = answer_begun(written_prompt(checkpoint, prompt), prefix)
    inputs = _processed(checkpoint, prompt, written)
    layout = find_layout(checkpoint, inputs, prompt)
    # PaliGemma's processor adds labels, which would make the model believe that it is trained.
    tensors = {
        k: v.to(checkpoint.device)
        for k, v in inputs.items()
        if isinstance(v, Tensor) and k != "labels"
    }
    cast = {
        k: v.to(checkpoint.model.dtype) if v.is_floating_point() else v for k, v in tensors.items()
    }
    return Encoded(cast, layout, written)


def written_prompt(checkpoint: Checkpoint, prompt: Prompt) -> str:
    """The prompt in the processor's chat template, or in the family's plain form without one.

    In the plain form images that come first stand where the form puts its image; behind each run
    of images and videos stands what the form puts behind its own (a line's end for LLaVA).

    Raises:
        SampleError: the template, or the processor of a form without an image, puts images
            elsewhere than they are given.
    """
    processor, family, runs = checkpoint.processor, checkpoint.family, _runs(prompt)
    behind_text = any(shown for shown, _ in runs[1:])
    if getattr(processor, "chat_template", None):
        if behind_text:
            _check_order(checkpoint, prompt)
        return _templated(checkpoint, [_content(part) for part in prompt.parts])
    form = family.prompt if isinstance(family.prompt, str) else family.prompt(processor)
    start, own, behind = form.rpartition("{image}")
    gap, _, end = behind.partition("{question}")
    if not own:
        # The processor itself puts images before all text.
        start, gap = gap, ""
    if not own and behind_text:
        raise SampleError(
            f"{family.name} reads images before all text; give them first: [image, 'text']."
        )
    text = "".join(
        "".join(_form(checkpoint, part) for part in parts if own or not shown)
        + (gap if shown and more else "")
        for more, (shown, parts) in zip([*[True] * (len(runs) - 1), False], runs, strict=True)
    )
    return f"{start}{text}{end}"


def _templated(checkpoint: Checkpoint, content: list[dict[str, str]]) -> str:
    turn = {"role": "user", "content": content}
    try:
        return checkpoint.processor.apply_chat_template([turn], add_generation_prompt=True)
    except (TemplateError, *_IN_TEMPLATES) as error:
        raise ModelError(
            f"The chat template of {checkpoint.name} can't be filled "
            f"({type(error).__name__}: {error}); mend it, or save the processor without one."
        ) from error


def _check_order(checkpoint: Checkpoint, prompt: Prompt) -> None:
    """Some templates (LLaVA-1.5's) write all images before all text, in whatever order they come.

    Raises:
        SampleError: this one does, or where it writes images can't be seen.
    """
    processor, texts = checkpoint.processor, [f"@@{i}@@" for i in range(len(prompt.parts))]
    content = [
        {"type": "text", "text": text} if isinstance(part, str) else _content(part)
        for part, text in zip(prompt.parts, texts, strict=True)
    ]
    written, place = _templated(checkpoint, content), 0
    names = {"video": ("video_token",), "image": ("image_token", "boi_token", "start_image_token")}
    for one in content:
        marks = (
            [one["text"]]
            if "text" in one
            else [
                str(mark) for name in names[one["type"]] if (mark := getattr(processor, name, None))
            ]
        )
        found = [at + len(mark) for mark in marks if (at := written.find(mark, place)) >= 0]
        if not found:
            raise SampleError(
                f"The chat template of {checkpoint.name} does not keep the order of text and "
                "images; give all images first, then the text: vlm.look([image, other], text)."
            )
        place = min(found)


def _runs(prompt: Prompt) -> list[tuple[bool, list[Part]]]:
    """Texts that follow each other, and what is shown together, told by whether it is shown."""
    return [(shown, list(parts)) for shown, parts in groupby(prompt.parts, _is_shown)]


def _is_shown(part: Part) -> bool:
    return not isinstance(part, str)


def _content(part: Part) -> dict[str, str]:
    """A part in the form of chat templates."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "video" if isinstance(part, Video) else "image"}


def _form(checkpoint: Checkpoint, part: Part) -> str:
    """A part in the family's plain form."""
    processor, family = checkpoint.processor, checkpoint.family
    match part:
        case str():
            return part
        case Video():
            form = family.videos.form if family.videos else "{token}"
            return form.format(token=getattr(processor, "video_token", "<video>"))
        case _:
            return family.image.format(token=getattr(processor, "image_token", "<image>"))


def answer_begun(prompt: str, prefix: str) -> str:
    """The prompt with the beginning of an answer, parted by a space unless a line's end does."""
    return f"{prompt}{'' if prompt[-1:].isspace() else ' '}{prefix}" if prefix else prompt


def _processed(checkpoint: Checkpoint, prompt: Prompt, written: str) -> Mapping[str, Any]:
    """The processor's outputs.

    Raises:
        SampleError: it refuses the prompt.
    """
    _check_videos(checkpoint, prompt)
    given: dict[str, Any] = {"text": written, "return_tensors": "pt"}
    if prompt.images:
        given["images"] = list(prompt.images)
    if prompt.videos:
        given["videos"] = [np.stack([_rgb(f) for f in video.frames]) for video in prompt.videos]
        given["video_metadata"] = [_metadata(video) for video in prompt.videos]
        given["do_sample_frames"] = False
    try:
        return checkpoint.processor(**given)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        what = f"{len(prompt.images)} image(s)"
        what += f" and {len(prompt.videos)} video(s)" if prompt.videos else ""
        raise SampleError(
            f"The processor of {checkpoint.name} refused {what} with the prompt {written!r}: "
            f"{error}"
        ) from error


def _check_videos(checkpoint: Checkpoint, prompt: Prompt) -> None:
    if not prompt.videos:
        return
    if checkpoint.family.videos is None:
        known = sorted({family.name for family in families().values() if family.videos})
        raise SampleError(
            f"How {checkpoint.family.name} lays videos out is not known here; show the frames as "
            f"images, or take a model of one of the families {', '.join(known)}."
        )
    if isinstance(getattr(checkpoint.processor, "video_processor", None), Unused | None):
        raise SampleError(
            f"The processor of {checkpoint.name} was loaded without its part for videos, which "
            "transformers writes with torchvision; install torchvision and load the model again."
        )


def _rgb(frame: Image.Image) -> np.ndarray:
    return np.asarray(frame.convert("RGB"))


def _metadata(video: Video) -> dict[str, Any]:
    """What processors are told of a video: every frame of it is shown."""
    count = len(video.frames)
    return {
        "total_num_frames": count,
        "fps": float(video.fps),
        "duration": count / video.fps,
        "width": video.size[0],
        "height": video.size[1],
        "frames_indices": list(range(count)),
    }


def find_layout(checkpoint: Checkpoint, inputs: Mapping[str, Any], prompt: Prompt) -> TokenLayout:
    """Where the tokens of images and videos stand, checked against the geometry of each.

    Raises:
        TokenMapError: their number is not the number that the geometry says.
    """
    config, family, processor = checkpoint.model.config, checkpoint.family, checkpoint.processor
    ids: Tensor = inputs["input_ids"][0]
    images = [
        (OfImage(i), grid, family.slots(grid))
        for i, image in enumerate(prompt.images)
        for grid in [family.grid(config, processor, image.size, inputs, i)]
    ]
    spans = list(_spans(checkpoint, ids, image_token(config), images, "image"))
    if prompt.videos and family.videos:
        videos = [
            (OfVideo(i, frames), grid, family.videos.slots(grid))
            for i, video in enumerate(prompt.videos)
            for frames, grid in family.videos.groups(
                config, processor, video.size, len(video.frames), inputs, i
            )
        ]
        spans += _spans(checkpoint, ids, video_token(config), videos, "video")
    return TokenLayout(len(ids), tuple(sorted(spans, key=lambda span: span.positions[:1])))


def _spans(
    checkpoint: Checkpoint,
    ids: Tensor,
    token: int,
    grids: Sequence[tuple[Medium, PatchGrid, Bool[np.ndarray, "_"]]],
    kind: str,
) -> Iterator[VisualSpan]:
    """The spans of all images, or of all frames of videos."""
    positions = np.flatnonzero((ids == token).numpy(force=True))
    wanted = sum(len(marks) for _, _, marks in grids)
    if len(positions) != wanted:
        raise TokenMapError(
            f"The prompt holds {len(positions)} {kind} tokens but the geometry of "
            f"{checkpoint.family.name} has {wanted} for {kind}s of size "
            f"{[grid.size for _, grid, _ in grids]}; the processor of {checkpoint.name} does not "
            "fit the model."
        )
    start = 0
    for medium, grid, marks in grids:
        own = positions[start : start + len(marks)][marks]
        yield VisualSpan(tuple(own.tolist()), grid, medium)
        start += len(marks)
