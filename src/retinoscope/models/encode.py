"""From a prompt to the model's inputs and the layout of its sequence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.errors import SampleError, TokenMapError
from retinoscope.geometry import PatchGrid
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.family import families
from retinoscope.models.processors import Unused
from retinoscope.models.prompt import Media, Prompt, Video, as_prompt
from retinoscope.models.views import image_token, video_token
from retinoscope.models.written import answer_begun, written_prompt
from retinoscope.tokens import Medium, OfImage, OfVideo, TokenLayout, VisualSpan


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
    return sent(checkpoint, prepare(checkpoint, media, question, prefix=prefix))


def prepare(
    checkpoint: Checkpoint, media: Media, question: str | None = None, *, prefix: str = ""
) -> Encoded:
    """As `encode`, with the inputs still in the memory of the processor.

    It needs nothing of the model's device, so that it can be done while the model works.
    """
    prompt = as_prompt(media, question)
    written = answer_begun(written_prompt(checkpoint, prompt), prefix)
    inputs = _processed(checkpoint, prompt, written)
    layout = find_layout(checkpoint, inputs, prompt)
    # PaliGemma's processor adds labels, which would make the model believe that it is trained.
    tensors = {k: v for k, v in inputs.items() if isinstance(v, Tensor) and k != "labels"}
    cast = {
        k: v.to(checkpoint.model.dtype) if v.is_floating_point() else v for k, v in tensors.items()
    }
    return Encoded(cast, layout, written)


def sent(checkpoint: Checkpoint, encoded: Encoded) -> Encoded:
    """A prepared prompt with its inputs on the model's device."""
    return replace(encoded, inputs=on_device(encoded.inputs, checkpoint.device))


def on_device(inputs: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Inputs on a device; to a GPU they go while others are prepared, from pinned memory."""
    if device.type != "cuda":
        return {name: tensor.to(device) for name, tensor in inputs.items()}
    return {k: v.pin_memory().to(device, non_blocking=True) for k, v in inputs.items()}


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
