"""Swaps: two objects' blocks of tokens change places; does the answer follow token or slot?

After Spatial IDs (arXiv 2601.12626) and binding by position IDs (arXiv 2505.22200), at every layer
and with congruent blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retinoscope.data.scenes.language import position_word
from retinoscope.engine import Recording, evaluate, look
from retinoscope.errors import SelectionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.contrast import contrast
from retinoscope.experiments.objects import Placed, Scene
from retinoscope.experiments.pairs.blocks import Block, Board, equal_blocks
from retinoscope.experiments.pairs.records import SwapRecord
from retinoscope.experiments.pairs.settings import PairsSettings
from retinoscope.experiments.placing import position_query, where_query
from retinoscope.experiments.target import Target, random_source
from retinoscope.interventions import Patch
from retinoscope.tasks import Query, first_tokens
from retinoscope.tokens import at

FROM_DATA = ("colour_at", "place_of")
"""Kinds of the data's own questions that tell two things of one class apart by place or colour."""


@dataclass(frozen=True, eq=False)
class _Swap:
    """Which block takes whose states, (to, from); `exchanged` as in SwapRecord."""

    exchanged: str
    moves: tuple[tuple[Block, Block], ...]


@dataclass(frozen=True, eq=False)
class _Asked:
    """A question about one of the things, and its whole answer, such as "top left"."""

    thing: Placed
    query: Query
    answer: str


def swaps(
    bench: Bench[PairsSettings], target: Target, scene: Scene, pairs: Sequence[tuple[int, int]]
) -> tuple[list[SwapRecord], list[tuple[str, str]]]:
    """Ask about each object of each pair while the two change places at one layer.

    Only questions that the clean model answers rightly of both objects are measured.

    Args:
        bench: the model and the settings.
        target: whose image it is.
        scene: the image's objects with their tokens.
        pairs: ids of objects.

    Returns:
        The records, and (condition, reason) of what could not be measured.
    """
    found: list[SwapRecord] = []
    skipped: list[tuple[str, str]] = []
    recordings: dict[tuple[str, str], Recording] = {}

    def recorded(query: Query) -> Recording:
        key = query.question, query.prefix
        if key not in recordings:
            recordings[key] = look(
                bench.checkpoint, target.image, query.question, prefix=query.prefix
            )
        return recordings[key]

    for one, other in pairs:
        for asked, partner in ((one, other), (other, one)):
            try:
                changes = _changes(scene, asked, partner, bench.settings.seed)
            except SelectionError as error:
                skipped.append((f"swap of objects {one} and {other}", str(error)))
                break
            for own, theirs in _both(target, scene, (asked, partner), bench.checkpoint.tokenizer):
                runs = [recorded(own.query), recorded(theirs.query)]
                if all(map(_knows, runs, (own, theirs))):
                    found += _measured(runs[0], own, theirs, target, changes)
    return found, skipped


def moved(recording: Recording, moves: Sequence[tuple[Block, Block]], layer: int) -> Patch:
    """Blocks take other blocks' clean states in the residual stream.

    Args:
        recording: the clean run, whose states they are.
        moves: (to, from), of equal shape; no position is written twice.
        layer: place of the stream, 0 to the number of layers.
    """
    given = {
        place: source
        for to, origin in moves
        for place, source in zip(to.positions, origin.positions, strict=True)
    }
    tokens = at(recording.layout, given)
    return Patch(tokens, layer, recording.residual(layer)[[given[p] for p in tokens]])


def _knows(recording: Recording, asked: _Asked) -> bool:
    return int(recording.logits.argmax()) in asked.query.right


def _changes(scene: Scene, asked: int, other: int, seed: int) -> list[_Swap]:
    """The exchange with the other object; with background, and its copy, where there is room."""
    own, theirs = scene.tokens[asked], scene.tokens[other]
    board = Board(own.layout)
    taken = ~scene.background
    first, second = equal_blocks(board, own, theirs, taken - own - theirs)
    found = [_Swap("other", ((first, second), (second, first)))]
    inside = at(own.layout, [*first.positions, *second.positions])
    free = board.free(taken | inside, first.rows, first.columns)
    if free:
        empty = free[int(random_source(seed, asked, f"block-{other}").integers(len(free)))]
        found.append(_Swap("background", ((first, empty), (empty, first))))
        found.append(_Swap("deleted", ((first, empty),)))
    return found


def _both(
    target: Target, scene: Scene, pair: tuple[int, int], tokenizer: Any
) -> list[tuple[_Asked, _Asked]]:
    """Questions of one kind about the one and the other object, whose answers begin alike.

    Otherwise "a" and "an" would give the answer away. Different answers with one first token
    ("top left", "top right") can't be told apart by it, and are left out.
    """
    own, theirs = (_questions(target, scene.things[i], scene, tokenizer) for i in pair)
    both = [(own[kind], theirs[kind]) for kind in own if kind in theirs]
    return [
        (a, b)
        for a, b in both
        if a.query.prefix == b.query.prefix
        and a.query.right
        and b.query.right
        and (a.answer == b.answer) == bool({*a.query.right} & {*b.query.right})
    ]


def _questions(target: Target, thing: Placed, scene: Scene, tokenizer: Any) -> Mapping[str, _Asked]:
    things = [*scene.things.values()]
    found: dict[str, _Asked] = {}
    position = position_query(thing, things, tokenizer)
    if position is not None:
        found["ask"] = _Asked(thing, position, thing.class_name)
    where = where_query(thing, things, tokenizer)
    if where is not None:
        found["where"] = _Asked(thing, where, position_word(*thing.cell))
    for question in target.sample.questions:
        if question.object_id == thing.object_id and question.kind in FROM_DATA:
            begun = question.answer.partition(question.word)[0].strip()
            right = first_tokens(tokenizer, [question.word.split()[0]])
            query = Query(question.kind, thing.class_name, question.text, begun, right)
            found[question.kind] = _Asked(thing, query, question.word)
    return found


def _measured(
    recording: Recording, own: _Asked, theirs: _Asked, target: Target, changes: Sequence[_Swap]
) -> list[SwapRecord]:
    """One question under every exchange at every layer."""
    same = own.answer == theirs.answer
    trials = [(swap, layer) for swap in changes for layer in range(recording.layer_count + 1)]
    conditions = [(moved(recording, swap.moves, layer),) for swap, layer in trials]
    clean, *logits = evaluate(recording, [(), *conditions]).logits
    pair = contrast(clean, own.query.right, () if same else theirs.query.right)
    found: list[SwapRecord] = []
    for (swap, layer), row in zip(trials, logits, strict=True):
        token = int(row.argmax())
        found.append(
            SwapRecord(
                image_id=target.sample.image_id,
                object_id=target.annotation.object_id,
                asked_id=own.thing.object_id,
                class_name=own.thing.class_name,
                other_id=theirs.thing.object_id,
                other_class=theirs.thing.class_name,
                task=own.query.task,
                prompt=own.query.question,
                exchanged=swap.exchanged,
                layer=layer,
                rows=swap.moves[0][0].rows,
                columns=swap.moves[0][0].columns,
                same_answer=same,
                answer=recording.checkpoint.tokenizer.decode([token]).strip(),
                right=token in own.query.right,
                became=token in theirs.query.right,
                ld=float(pair.difference(row)),
                clean_ld=float(pair.difference(clean)),
            )
        )
    return found
