"""Measure one object: its pair of images, the exact sweep, paths, and three approximations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from retinoscope.engine import look
from retinoscope.errors import InterventionError, SampleError, SelectionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.contrast import contrast
from retinoscope.experiments.interchange.groups import groups_of
from retinoscope.experiments.interchange.pairing import Counterpart, counterpart
from retinoscope.experiments.interchange.records import (
    AgreementRecord,
    InterchangeItem,
    InterchangeRecord,
    PathRecord,
)
from retinoscope.experiments.target import Target, skip
from retinoscope.interventions import Site
from retinoscope.patching import (
    APPROXIMATIONS,
    DIRECTIONS,
    Cell,
    Pair,
    Path,
    agreement,
    approximated,
    cells,
    exact,
    pair,
    paths,
)
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import Record, SkippedRecord
from retinoscope.tasks import Query, ask, queries_of

HEADS_AT = ("question", "last")
"""Groups whose heads are swept one by one."""

ROUTES = (
    ("object", "last"),
    ("object", "question"),
    ("object", "question", "last"),
    ("far", "last"),
    ("far", "question", "last"),
)
"""Paths that are patched, in all layers at once; the first and the third also layer by layer."""

BY_LAYER = (ROUTES[0], ROUTES[2])


def measure(bench: Bench[OwnSettings], target: Target) -> Iterator[Record]:
    """Every pair of runs of one object: a row for the item, then its cells, paths and errors."""
    found = counterpart(target, bench.settings.seed)
    queries, skipped = _queries(bench, target)
    yield from skipped
    for query in queries:
        yield from _item(bench, target, query, found)


def _queries(bench: Bench[OwnSettings], target: Target) -> tuple[list[Query], list[SkippedRecord]]:
    """Questions that the next token answers: of the tasks, and of the scene where it has others."""
    settings, tokenizer = bench.settings, bench.checkpoint.tokenizer
    asked, unasked = queries_of(
        *(settings.tasks, target, tokenizer), always_a=settings.protocol.always_a
    )
    queries = [query for query in asked if not (query.written or query.control)]
    missing = {one.task: one.reason for one in unasked if one.task in settings.tasks}
    own = [
        one.text
        for one in target.sample.questions
        if one.object_id == target.annotation.object_id and one.word == target.class_name
    ]
    if "ask" in missing and own:
        queries.append(ask(target.class_name, own[0], tokenizer))
        del missing["ask"]
    return queries, [_skip(target, task, reason) for task, reason in missing.items()]


def _item(
    bench: Bench[OwnSettings], target: Target, query: Query, other: Counterpart
) -> Iterator[Record]:
    clean, corrupt = (
        look(bench.checkpoint, image, query.question, prefix=query.prefix)
        for image in (target.image, other.image)
    )
    try:
        right = contrast(clean.logits, query.right).right
        wrong = contrast(corrupt.logits, query.right).wrong
        runs = pair(clean, corrupt, right, wrong)
    except (SampleError, SelectionError) as error:
        yield _skip(target, query.task, str(error))
        return
    item = _described(target, query, other, runs)
    yield item
    if not (item.clean_right and item.flips):
        return
    if clean.fallback is not None:
        reason = f"Every cell would cost a forward pass of the whole model: {clean.fallback}."
        yield _skip(target, query.task, reason)
        return
    groups = groups_of(clean.layout, target, other.mask, bench.settings)
    yield from _Measured(target, query.task, runs, groups).records()


def _described(target: Target, query: Query, other: Counterpart, runs: Pair) -> InterchangeItem:
    clean, corrupt = runs.ends
    decode = runs.clean.checkpoint.tokenizer.decode
    return InterchangeItem(
        image_id=target.sample.image_id,
        object_id=target.annotation.object_id,
        class_name=target.class_name,
        task=query.task,
        prompt=query.question,
        pair=other.pair,
        other=other.other,
        right_word=decode([runs.right]).strip(),
        wrong_word=decode([runs.wrong]).strip(),
        clean_difference=clean,
        corrupt_difference=corrupt,
        clean_right=int(runs.clean.logits.argmax()) in query.right,
        flips=corrupt < 0,
    )


@dataclass(frozen=True, eq=False)
class _Measured:
    """One item that is right when clean and flips.

    Attributes:
        target: the object.
        task: the task's name.
        runs: its two runs.
        groups: positions by name.
    """

    target: Target
    task: str
    runs: Pair
    groups: Mapping[str, tuple[int, ...]]

    def records(self) -> Iterator[Record]:
        """All that is measured of it."""
        recording = self.runs.clean
        layers = range(recording.layer_count)
        late = {name: self.groups[name] for name in HEADS_AT if name in self.groups}
        able = [layer for layer in layers if recording.has(Site("z", layer))]
        asked = cells(self.groups, layers, (), DIRECTIONS)
        asked += cells(late, able, range(recording.head_count), DIRECTIONS)
        yield from self._sweep(asked)
        yield from self._paths()

    def _sweep(self, asked: Sequence[Cell]) -> Iterator[Record]:
        ends, own = self.runs.ends, exact(self.runs, asked)
        carried = self._carried(asked, own)
        theirs: dict[str, np.ndarray] = {}
        for method in APPROXIMATIONS:
            try:
                theirs[method] = self._carried(asked, approximated(self.runs, asked, method))
            except InterventionError as error:
                yield _skip(self.target, f"{self.task}: {method}", str(error))
        for index, cell in enumerate(asked):
            guesses = {m: float(theirs[m][index]) if m in theirs else None for m in APPROXIMATIONS}
            yield InterchangeRecord(
                *self._name(),
                direction=cell.direction,
                layer=cell.layer,
                group=cell.group,
                tokens=len(cell.positions),
                head=cell.head,
                clean_difference=ends[0],
                corrupt_difference=ends[1],
                difference=float(own[index]),
                carried=float(carried[index]),
                **guesses,
            )
        yield from self._agreements(asked, carried, theirs)

    def _agreements(
        self, asked: Sequence[Cell], carried: np.ndarray, theirs: Mapping[str, np.ndarray]
    ) -> Iterator[AgreementRecord]:
        """How wrong each approximation is, of the stream and of heads apart."""
        for part, heads in (("residual stream", False), ("heads", True)):
            for direction in DIRECTIONS:
                here = np.array([(c.direction, c.head >= 0) == (direction, heads) for c in asked])
                for method, guess in theirs.items() if here.any() else ():
                    found = asdict(agreement(carried[here], guess[here]))
                    count = found.pop("n")
                    name = (*self._name(), direction, part, method)
                    yield AgreementRecord(*name, cells=count, **found)

    def _paths(self) -> Iterator[Record]:
        count = self.runs.clean.layer_count
        for route in ROUTES:
            if not set(route) <= set(self.groups):
                yield _skip(self.target, f"{self.task}: {' -> '.join(route)}", "a group is empty")
                continue
            hops = tuple(self.groups[name] for name in route)
            spans = [tuple(range(count))]
            if route in BY_LAYER:
                spans += [(layer,) for layer in range(count - len(hops) + 2)]
            asked = [Path(direction, span, hops) for direction in DIRECTIONS for span in spans]
            try:
                found = paths(self.runs, asked)
            except InterventionError as error:
                yield _skip(self.target, f"{self.task}: {' -> '.join(route)}", str(error))
                continue
            carried = self._carried(asked, found)
            for path, ld, share in zip(asked, found.tolist(), carried.tolist(), strict=True):
                span = (path.layers[0], path.layers[-1])
                yield PathRecord(
                    *self._name(), path.direction, " -> ".join(route), *span, ld, share
                )

    def _carried(self, asked: Sequence[Cell | Path], differences: Tensor) -> np.ndarray:
        """The share of the difference between the runs that each moves, from its own side."""
        share = self.runs.normalised(differences).double()
        noised = torch.tensor([one.direction == "noising" for one in asked])
        return torch.where(noised, 1 - share, share).numpy()

    def _name(self) -> tuple[int, int, str, str]:
        annotation = self.target.annotation
        return self.target.sample.image_id, annotation.object_id, annotation.class_name, self.task


def _skip(target: Target, condition: str, reason: str) -> SkippedRecord:
    return skip("interchange", target, condition, reason)
