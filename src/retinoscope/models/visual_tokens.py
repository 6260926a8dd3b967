"""Visual tokens where the first decoder layer reads them: of one image, or of many in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import TypeVar

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from retinoscope.data.ahead import read_ahead
from retinoscope.errors import SampleError, TokenMapError
from retinoscope.models.checkpoint import Checkpoint
from retinoscope.models.encode import Encoded, on_device, prepare
from retinoscope.models.memory import in_passes, pass_memory, ran_out
from retinoscope.models.vision import first_states

QUESTION = "Describe this image."

TOWER = 64
"""Numbers that a vision tower holds at once for each number of the pixels it is given, about:
CLIP in LLaVA-1.5 keeps 44 in the states of its 24 layers, and some more while it works."""

Item = TypeVar("Item")
Tokens = Float[Tensor, "tokens width"]


def visual_tokens(checkpoint: Checkpoint, image: Image.Image) -> Tokens:
    """One image's visual tokens where the first decoder layer reads them.

    Raises:
        SampleError, TokenMapError: the model can't take the image.
    """
    return _together(checkpoint, [prepare(checkpoint, image, QUESTION)])[0]


def visual_tokens_of(
    checkpoint: Checkpoint, items: Iterable[Item], read: Callable[[Item], Image.Image]
) -> Iterator[Tokens | SampleError | TokenMapError]:
    """The visual tokens of many images, each read and prepared while the model works on others.

    On a GPU images that follow one another go through the vision tower together, as far as the
    model is given as much for each and a pass has room, which is within rounding of one by one.
    Which ones go together depends on the items alone, unless memory runs out: a batch is halved
    then. On a CPU a batch is no faster, and every image goes alone.

    Args:
        checkpoint: the model.
        items: such as samples.
        read: from one to its image, RGB; called in another thread.

    Yields:
        The tokens of each item in their order; or why it can't be read, or the model can't take it.
    """

    def prepared(item: Item) -> Encoded:
        return prepare(checkpoint, read(item), QUESTION)

    waiting: list[Encoded] = []
    with closing(read_ahead(items, prepared)) as coming:
        for one in coming:
            try:
                found = one.result()
            except (SampleError, TokenMapError) as error:
                found = error
            if waiting and not _joins(checkpoint, waiting, found):
                yield from _batch(checkpoint, waiting)
                waiting = []
            if isinstance(found, Encoded):
                waiting.append(found)
            else:
                yield found
    yield from _batch(checkpoint, waiting)


def images_at_once(checkpoint: Checkpoint, encoded: Encoded) -> int:
    """How many images go through the vision tower together where a pass has room for them."""
    if checkpoint.device.type == "cpu":
        return 1
    pixels = (t for t in encoded.inputs.values() if t.is_floating_point())
    one = TOWER * sum(t.numel() * t.element_size() for t in pixels)
    return max(1, pass_memory(checkpoint) // max(one, 1))


def _joins(checkpoint: Checkpoint, waiting: Sequence[Encoded], found: Encoded | Exception) -> bool:
    """Whether an image goes with those that wait: nothing is padded, and there is room."""
    return (
        isinstance(found, Encoded)
        and _shape(found) == _shape(waiting[0])
        and len(waiting) < images_at_once(checkpoint, waiting[0])
    )


def _shape(encoded: Encoded) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in encoded.inputs.items()}


def _batch(checkpoint: Checkpoint, some: Sequence[Encoded]) -> Iterator[Tokens]:
    """The tokens of each; one by one where the model gives others in batches."""

    def run(part: Sequence[Encoded]) -> list[Tokens]:
        if len(part) > 1 and not _batches(checkpoint, part):
            return [tokens for one in part for tokens in _together(checkpoint, [one])]
        return _together(checkpoint, part)

    for _, found in in_passes(some, max(1, len(some)), run):
        yield from found


def _batches(checkpoint: Checkpoint, some: Sequence[Encoded]) -> bool:
    """Whether the model gives the same in batches; asked of its first batch.

    Not all do: MiniCPM-V's processor lays images out beside each other.
    """
    if "vision in batches" not in checkpoint.found:
        alone = _together(checkpoint, some[1:2])[0]
        try:
            batch = _together(checkpoint, some[:2])[1]
        except (RuntimeError, ValueError, IndexError) as error:
            if isinstance(error, RuntimeError) and ran_out(error):
                raise
            same = False
        else:
            room = torch.finfo(alone.dtype).eps ** 0.5
            same = bool((batch - alone).norm() <= room * alone.norm())
        checkpoint.found["vision in batches"] = same
    return checkpoint.found["vision in batches"]


def _together(checkpoint: Checkpoint, some: Sequence[Encoded]) -> list[Tokens]:
    """The tokens of prompts of one shape: processors lay a batch out along the first axis."""
    inputs = {name: torch.cat([one.inputs[name] for one in some]) for name in some[0].inputs}
    states = first_states(checkpoint, on_device(inputs, checkpoint.device))
    return [row[list(one.layout.visual)] for row, one in zip(states, some, strict=True)]
