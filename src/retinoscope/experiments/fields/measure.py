"""Receptive fields, measured: erase each part of the image, see which tokens change.

Where tokens have no place (a resampler's queries), the object's tokens are those whose fields lie
on the object most; where they have one, both ways of choosing are compared.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from retinoscope.engine import evaluate, look
from retinoscope.errors import SampleError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.contrast import contrast
from retinoscope.experiments.fields.records import FieldAblationRecord, FieldRecord
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.target import Target, skip
from retinoscope.geometry import UnplacedGrid
from retinoscope.interventions import Ablate, Condition
from retinoscope.models import Checkpoint
from retinoscope.models.visual_tokens import visual_tokens, visual_tokens_of
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import Record
from retinoscope.tasks import Query, queries_of
from retinoscope.tokens import TokenLayout, TokenSet, at, visual

BLOCKS = 8
"""Parts of the image along each side that are erased one at a time."""

DEVIATIONS = 2
"""Standard deviations above the mean norm from which a token is an outlier."""

TASKS = ("poll", "ask")


def measure(bench: Bench[OwnSettings], target: Target) -> Iterator[Record]:
    """The fields of one object's image, and what losing the object's tokens costs.

    Raises:
        SampleError, TokenMapError: this object can't be measured.
    """
    checkpoint = bench.checkpoint
    field = receptive_field(checkpoint, target.image, BLOCKS)
    if not len(field):
        raise SampleError("The model has no visual tokens in its sequence, and so no fields.")
    asked, _ = queries_of(TASKS, target, checkpoint.tokenizer)
    queries = [query for query in asked if query.right and not query.control]
    if not queries:
        yield skip("fields", target, "tasks", "no question about this object can be scored")
    layout = look(checkpoint, target.image, "Describe this image.").encoded.layout
    seen = blocks_under(target.mask, BLOCKS)
    placed = placed_tokens(layout, target, bench)
    count = len(placed) if placed is not None else math.ceil(seen.mean() * len(field))
    chosen = strongest(field, seen, count)
    yield _field_record(checkpoint, target, layout, field, chosen, placed)
    for query in queries:
        yield from _ablated(bench, target, query, chosen, placed)


@torch.no_grad()
def receptive_field(
    checkpoint: Checkpoint, image: Image.Image, blocks: int
) -> Float[np.ndarray, "tokens parts"]:
    """How far each visual token moves when a part of the image is erased.

    A part is filled with the image's mean colour. The tokens are taken where the first decoder
    layer reads them, so that the encoder's attention and the adapter count.

    Args:
        checkpoint: the model.
        image: RGB.
        blocks: parts along each side; they are numbered row by row.

    Returns:
        Norms of the changes, at least 0.
    """
    clean = visual_tokens(checkpoint, image).float()
    pixels = np.array(image.convert("RGB"))
    grey = pixels.reshape(-1, 3).mean(0).round().astype(np.uint8)

    def erased(part: tuple[tuple[int, int], tuple[int, int]]) -> Image.Image:
        rows, spans = part
        left = pixels.copy()
        left[slice(*rows), slice(*spans)] = grey
        return Image.fromarray(left)

    columns: list[Tensor] = []
    for changed in visual_tokens_of(checkpoint, _parts(image.size, blocks), erased):
        if not isinstance(changed, Tensor):
            raise changed
        columns.append((changed.float() - clean).norm(dim=-1))
    return torch.stack(columns, dim=-1).numpy(force=True)


def _parts(size: tuple[int, int], blocks: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """(top, bottom) and (left, right) of every part, in pixels."""
    columns, rows = (np.linspace(0, side, blocks + 1).round().astype(int) for side in size)
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            yield (int(top), int(bottom)), (int(left), int(right))


def blocks_under(mask: Bool[np.ndarray, "height width"], blocks: int) -> Bool[np.ndarray, " parts"]:
    """Parts of the image that a mask touches."""
    height, width = mask.shape
    parts = _parts((width, height), blocks)
    return np.array([mask[slice(*rows), slice(*columns)].any() for rows, columns in parts])


def shares(field: Float[np.ndarray, "tokens parts"]) -> Float[np.ndarray, "tokens parts"]:
    """Each token's field as shares of its whole; even where nothing moves it."""
    total = field.sum(-1, keepdims=True)
    even = np.full_like(field, 1 / field.shape[-1])
    return np.divide(field, total, out=even, where=total > 0)


def strongest(
    field: Float[np.ndarray, "tokens parts"], seen: Bool[np.ndarray, " parts"], count: int
) -> list[int]:
    """Numbers of the tokens whose fields lie most on some parts, the strongest first."""
    mass = shares(field)[:, seen].sum(-1)
    return np.argsort(-mass, kind="stable")[:count].tolist()


def locality(
    field: Float[np.ndarray, "tokens parts"], own: Bool[np.ndarray, "tokens parts"]
) -> tuple[float, float]:
    """Mean share of a field on a token's own parts, and what an even field would have there."""
    return float((shares(field) * own).sum(-1).mean()), float(own.mean())


def spread(field: Float[np.ndarray, "tokens parts"]) -> float:
    """Mean entropy of fields as a share of the largest, 0 to 1."""
    share = shares(field)
    entropy = -(share * np.log(share, out=np.zeros_like(share), where=share > 0)).sum(-1)
    return float(entropy.mean() / np.log(field.shape[-1]))


def own_parts(layout: TokenLayout, blocks: int) -> Bool[np.ndarray, "tokens parts"] | None:
    """The parts that each visual token's own cell touches; None where tokens have no place."""
    owned = []
    for span in layout.spans:
        if isinstance(span.grid, UnplacedGrid):
            return None
        parts = np.array(list(_parts(span.grid.size, blocks)), dtype=float)
        tops, lefts = parts[:, 0], parts[:, 1]
        x0, y0, x1, y1 = span.grid.boxes.T[:, :, None]
        across = np.minimum(x1, lefts[:, 1]) - np.maximum(x0, lefts[:, 0])
        down = np.minimum(y1, tops[:, 1]) - np.maximum(y0, tops[:, 0])
        owned.append((across > 0) & (down > 0))
    order = np.argsort([position for span in layout.spans for position in span.positions])
    return np.concatenate(owned)[order]


def placed_tokens(
    layout: TokenLayout, target: Target, bench: Bench[OwnSettings]
) -> TokenSet | None:
    """The object +1 by the token map; None where tokens have no place.

    Raises:
        SelectionError: the object lies outside the part of the image that the model sees.
    """
    if any(isinstance(span.grid, UnplacedGrid) for span in layout.spans):
        return None
    return object_tokens(layout, target.mask, bench.settings).dilate(1)


def _field_record(
    checkpoint: Checkpoint,
    target: Target,
    layout: TokenLayout,
    field: Float[np.ndarray, "tokens parts"],
    chosen: list[int],
    placed: TokenSet | None,
) -> FieldRecord:
    norms = visual_tokens(checkpoint, target.image).float().norm(dim=-1)
    own = own_parts(layout, BLOCKS)
    inside, chance = (None, None) if own is None else locality(field, own)
    positions = [layout.visual[i] for i in chosen]
    agreement = None if placed is None else len({*positions} & {*placed}) / max(len(chosen), 1)
    return FieldRecord(
        *_identity(target),
        tokens=len(field),
        blocks=field.shape[-1],
        locality=inside,
        chance=chance,
        spread=spread(field),
        outliers=int((norms > norms.mean() + DEVIATIONS * norms.std()).sum()),
        object_tokens=len(chosen),
        agreement=agreement,
    )


def _ablated(
    bench: Bench[OwnSettings],
    target: Target,
    query: Query,
    chosen: list[int],
    placed: TokenSet | None,
) -> Iterator[FieldAblationRecord]:
    """The question clean, without either choice of tokens, and without as many at random."""
    recording = look(bench.checkpoint, target.image, query.question, prefix=query.prefix)
    layout = recording.encoded.layout
    ours = at(layout, [layout.visual[i] for i in chosen])
    sets = {"clean": at(layout, ()), "field": ours}
    if placed is not None:
        sets["map"] = at(layout, placed)
    outside = visual(layout) - ours - sets.get("map", ours)
    if len(outside) >= len(ours):
        sets["random"] = outside.draw(len(ours), bench.settings.seed)
    conditions: list[Condition] = [(Ablate(t, "mean"),) if t else () for t in sets.values()]
    logits = evaluate(recording, conditions).logits
    measured = contrast(recording.logits, query.right)
    differences = measured.difference(logits).tolist()
    right = [int(row.argmax()) in query.right for row in logits]
    for (name, tokens), difference, is_right in zip(sets.items(), differences, right, strict=True):
        yield FieldAblationRecord(
            *_identity(target),
            task=query.task,
            prompt=query.question,
            chosen=name,
            tokens=len(tokens),
            difference=difference,
            clean_difference=differences[0],
            right=is_right,
            clean_right=right[0],
        )


def _identity(target: Target) -> tuple[int, int, str]:
    return target.sample.image_id, target.annotation.object_id, target.class_name
