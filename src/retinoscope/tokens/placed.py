"""Visual tokens by their place: under a mask, or in a row, of an image or of a video's frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Float

from retinoscope.errors import SelectionError
from retinoscope.geometry import coverage
from retinoscope.tokens.layout import TokenLayout, VisualSpan
from retinoscope.tokens.masks import as_array, as_mask
from retinoscope.tokens.medium import OfImage, OfVideo
from retinoscope.tokens.tokenset import TokenSet, at

Spans = Sequence[VisualSpan]


def of_image(layout: TokenLayout, image: int) -> tuple[VisualSpan, ...]:
    """The span of one of the prompt's images, alone.

    Raises:
        SelectionError: the prompt has no such image.
    """
    found = tuple(span for span in layout.spans if span.medium == OfImage(image))
    if not found:
        raise SelectionError(f"There is no image {image}; the prompt holds {held(layout.spans)}.")
    return found


def of_video(layout: TokenLayout, video: int, frame: int | None = None) -> tuple[VisualSpan, ...]:
    """The spans of one of the prompt's videos, or the one that shows a frame of it.

    Raises:
        SelectionError: the prompt has no such video, or the video no such frame.
    """
    spans = [
        (span, span.medium.frames)
        for span in layout.spans
        if isinstance(span.medium, OfVideo) and span.medium.video == video
    ]
    found = tuple(span for span, frames in spans if frame is None or frame in frames)
    if not found:
        what = f"video {video}" if frame is None else f"frame {frame} of video {video}"
        raise SelectionError(f"There is no {what}; the prompt holds {held(layout.spans)}.")
    return found


def only(spans: Spans) -> VisualSpan:
    """The only span there is.

    Raises:
        SelectionError: there is none, or several: of which one must be said.
    """
    if len(spans) == 1:
        return spans[0]
    if not spans:
        raise SelectionError("The prompt holds no image, so that no token has a place in one.")
    first = spans[-1].medium
    such = (
        f"view.images[{first.image}].tokens"
        if isinstance(first, OfImage)
        else f"view.videos[{first.video}].frames[{first.frames[0]}].tokens"
    )
    raise SelectionError(f"The prompt holds {held(spans)}: say which, such as {such}.")


def held(spans: Spans) -> str:
    """What a prompt holds, in words: "2 images and a video of 8 frames"."""
    images = sum(isinstance(span.medium, OfImage) for span in spans)
    videos = [
        f"a video of {_frame_count(its)} frames"
        for its in by_medium(spans)
        if isinstance(its[0].medium, OfVideo)
    ]
    counted = [f"{images} image{'s' if images > 1 else ''}"] if images else []
    return " and ".join([*counted, *videos]) or "no image"


def by_medium(spans: Spans) -> list[tuple[VisualSpan, ...]]:
    """The spans of each image and of each video, in their order in the prompt."""

    def which(span: VisualSpan) -> tuple[str, int]:
        match span.medium:
            case OfImage(image):
                return "image", image
            case OfVideo(video, _):
                return "video", video

    return [tuple(its) for _, its in groupby(spans, which)]


def row(layout: TokenLayout, index: int, spans: Spans | None = None) -> TokenSet:
    """One row of an image's visual tokens; -1 is the last one, as in the paper's knockouts.

    Args:
        layout: the sequence.
        index: which row, from 0.
        spans: of the image or frame; None is the only one of the prompt.

    Raises:
        SelectionError: no such row, or it must be said of which image or frame.
    """
    span = only(layout.spans if spans is None else spans)
    rows = span.grid.rows
    count = int(rows.max()) + 1
    if not isinstance(index, int) or not -count <= index < count:
        raise SelectionError(f"The image has rows 0 to {count - 1}; got {index!r}.")
    chosen = np.flatnonzero(rows == index % count)
    return at(layout, (span.positions[i] for i in chosen.tolist()))


def patch(layout: TokenLayout, row: int, column: int, spans: Spans | None = None) -> TokenSet:
    """One patch of an image, by its row and column as pages name them.

    Args:
        layout: the sequence.
        row: from 0, counted over all tiles as in `row`.
        column: from 0, within its tile.
        spans: of the image or frame; None is the only one of the prompt.

    Raises:
        SelectionError: no such patch, or it must be said of which image or frame.
    """
    span = only(layout.spans if spans is None else spans)
    rows, columns = span.grid.rows, span.grid.cells[:, 2]
    chosen = np.flatnonzero((rows == row) & (columns == column))
    if len(chosen) != 1:
        raise SelectionError(
            f"There is no patch in row {row!r}, column {column!r}; the image has rows 0 to "
            f"{int(rows.max())} and columns 0 to {int(columns.max())}."
        )
    return at(layout, (span.positions[int(chosen[0])],))


def under(
    layout: TokenLayout, mask: Any, *, overlap: float = 0.0, spans: Spans | None = None
) -> TokenSet:
    """Visual tokens whose patch the mask covers by more than `overlap`: the object's tokens.

    Paper, section 3.1: the tokens "originally aligned with" the object. The default takes every
    patch that the mask touches. A token that shows several frames of a video is covered by the
    mean of the frames' masks.

    Args:
        layout: the sequence.
        mask: True on the object, in the original image's pixels; see `as_mask`. Of a video one
            for each of its frames, [frames, height, width] or a sequence. Of a prompt with several
            images and videos a sequence of one for each, in their order. In a sequence, None is
            where nothing is chosen.
        overlap: share of a patch's area that must be exceeded, 0 to just under 1.
        spans: the images and frames to choose from; None is all of the prompt.

    Raises:
        SelectionError: it is no mask, has another size than the image, is missing for an image or
            frame, or covers no patch, or `overlap` is out of range.
    """
    if not isinstance(overlap, int | float) or not 0 <= overlap < 1:
        raise SelectionError(f"overlap is a share from 0 to just under 1; got {overlap!r}.")
    media = by_medium(layout.spans if spans is None else spans)
    chosen: list[int] = []
    for its, given in _given(mask, media):
        for span, share in _shares(layout, its, given):
            chosen += [span.positions[i] for i in np.flatnonzero(share > overlap).tolist()]
    if not chosen:
        raise SelectionError(
            f"The mask covers no patch by more than {overlap:.0%}: the object lies outside the "
            "part of the image that the model sees, or is too small. Take another object, or a "
            "smaller overlap."
        )
    return at(layout, chosen)


def _given(
    mask: Any, media: list[tuple[VisualSpan, ...]]
) -> list[tuple[tuple[VisualSpan, ...], Any]]:
    """The only image or video with its mask, or those for which one is given."""
    if not media:
        only(())
    if len(media) == 1:
        return [(media[0], mask)]
    if isinstance(mask, list | tuple) and len(mask) == len(media):
        return [pair for pair in zip(media, mask, strict=True) if pair[1] is not None]
    raise SelectionError(
        f"The prompt holds {held([span for its in media for span in its])}: give a list of "
        f"{len(media)} masks (None where nothing is chosen), or say which, such as "
        "view.images[0].tokens.under(mask)."
    )


def _shares(
    layout: TokenLayout, spans: tuple[VisualSpan, ...], given: Any
) -> list[tuple[VisualSpan, Float[np.ndarray, " cells"]]]:
    """The share of each cell of an image or a video that is covered."""
    (first, *others), medium = spans, spans[0].medium
    together = not isinstance(given, list | tuple) and as_array(given).ndim == 2
    if isinstance(medium, OfImage) or (together and not others):
        return [(first, coverage(first.grid, as_mask(given)))]
    count = _frame_count(of_video(layout, medium.video))
    masks = list(given) if hasattr(given, "__len__") and not together else []
    if len(masks) != count:
        raise SelectionError(
            f"Video {medium.video} has {count} frames and takes a mask for each, [frames, height, "
            f"width]; got {len(masks) or 'one mask'}. One frame's tokens are "
            f"view.videos[{medium.video}].frames[0].tokens.under(mask)."
        )
    found = []
    for span in spans:
        assert isinstance(span.medium, OfVideo)
        each = [
            np.zeros(len(span.grid))
            if masks[frame] is None
            else coverage(span.grid, as_mask(masks[frame]))
            for frame in span.medium.frames
        ]
        found.append((span, np.mean(each, axis=0)))
    return found


def _frame_count(spans: Spans) -> int:
    return sum(len(span.medium.frames) for span in spans if isinstance(span.medium, OfVideo))
