"""Pictures: what the explorer looks at, an uploaded file or one of the examples."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from retinoscope.app.container import check_container
from retinoscope.app.limits import Limits
from retinoscope.data import Annotation, Dataset, Sample, load_image, open_image
from retinoscope.errors import SampleError
from retinoscope.tasks import article

SHOWN_EDGE = 1280
"""Longest edge of the copy that a browser is shown, in pixels."""

QUESTIONS = 8
"""Questions that an example suggests of its own, besides those that every picture gets."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One image.

    Attributes:
        key: its name in requests: the SHA-256 of an uploaded file, or "example-<index>".
        title: what to call it.
        image: the pixels, RGB, upright.
        shown: a PNG of the pixels for the browser, no larger than it can use. It is made from
            the pixels, so that no byte of an uploaded file is ever sent back.
        sample: what is known of an example; None of an upload.
        questions: what one might ask; the example's own first.
    """

    key: str
    title: str
    image: Image.Image
    shown: bytes
    sample: Sample | None = None
    questions: tuple[str, ...] = ()

    @property
    def objects(self) -> Sequence[Annotation]:
        """The annotated objects of an example."""
        return self.sample.annotations if self.sample is not None else ()


def read_upload(data: bytes, title: str, limits: Limits) -> Picture:
    """A picture from an uploaded file's bytes; nothing of the file but its pixels is kept.

    Args:
        data: the whole file.
        title: the file's name as the browser told it; only ever shown, never opened.
        limits: for the largest number of pixels.

    Raises:
        SampleError: the file is no raster image, is cut off, holds something else as well, or
            has too many pixels.
    """
    name = plain_name(title)
    check_container(data, name)
    image = open_image(data, name=name, max_pixels=limits.pixels)
    if min(image.size) < 2:
        raise SampleError(f"{name}: {image.width} x {image.height} pixels show nothing.")
    return Picture(hashlib.sha256(data).hexdigest(), name, image, _shown(image))


def read_examples(dataset: Dataset, count: int) -> dict[str, Picture]:
    """The first pictures of a data set by key; those that can't be read are passed over.

    Raises:
        SampleError: none of them can be read.
    """
    found: dict[str, Picture] = {}
    failed: list[str] = []
    for index, sample in enumerate(dataset.samples[:count]):
        try:
            image = load_image(sample)
        except SampleError as error:
            failed.append(str(error))
            continue
        names = ", ".join(dict.fromkeys(a.class_name for a in sample.annotations))
        key = f"example-{index}"
        found[key] = Picture(
            key, names or sample.path.name, image, _shown(image), sample, _questions(sample)
        )
    if failed and not found:
        raise SampleError(f"No example can be read: {failed[0]}")
    return found


def plain_name(title: str) -> str:
    """A file's name alone, of characters that are safe in any script and on any screen."""
    last = re.split(r"[\\/]", title)[-1]
    return re.sub(r"[^\w.,()+ -]", "_", last)[-80:].strip(" .") or "image"


def _questions(sample: Sample) -> tuple[str, ...]:
    names = dict.fromkeys(a.class_name for a in sample.annotations)
    polls = [f"Is there {article(name)} {name} in this image?" for name in names]
    own = [q.text for q in sample.questions if q.kind in ("position", "relation", "free", "colour")]
    return tuple(dict.fromkeys([*own[:1], *polls, *own[1:QUESTIONS]]))


def _shown(image: Image.Image) -> bytes:
    copy = image.copy()
    copy.thumbnail((SHOWN_EDGE, SHOWN_EDGE))
    file = io.BytesIO()
    copy.save(file, format="PNG")
    return file.getvalue()
