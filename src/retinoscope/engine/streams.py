"""The residual stream at some positions under many conditions, replayed together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.capture import changed_stream
from retinoscope.engine.edits.apply import edges
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.evaluate import unproved
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import WEIGHTS
from retinoscope.engine.replay.batch_rows import BatchRows
from retinoscope.engine.replay.passes import groups, row_bytes
from retinoscope.engine.replay.replay import replay
from retinoscope.interventions import Condition, Edits, Write, as_condition
from retinoscope.interventions.edits import checked_positions
from retinoscope.models.memory import in_passes, pass_memory

Stream = Float[Tensor, "places positions width"]


def changed_streams(
    recording: Recording,
    conditions: Sequence[Condition],
    positions: Iterable[int],
    *,
    memory: int | None = None,
) -> Iterator[tuple[int, Stream]]:
    """The raw residual stream at some positions, at every place, under each of many conditions.

    Only what a condition can change is computed, as in `evaluate`; where nothing reads ahead,
    positions behind the last one that is asked for are left out as well. Where the model can't be
    replayed, each condition is a full forward pass.

    Args:
        recording: the clean run.
        conditions: each a tuple of interventions in force together; () is the clean run.
        positions: where, in ascending order.
        memory: as in `evaluate`.

    Yields:
        The index of a condition and its stream, in any order; of places 0 is the input of the first
        decoder layer, n the output of the n-th.

    Raises:
        InterventionError: as in `evaluate`.
    """
    where = checked_positions(list(positions), recording, "changed_streams(positions=...)")
    check = Checked(recording)
    edits = [check.edits(as_condition(condition)) for condition in conditions]
    if not _replayable(recording, edits):
        for index, condition in enumerate(conditions):
            states = changed_stream(recording, as_condition(condition))
            yield index, torch.stack([state[list(where)] for state in states])
        return
    clean = torch.stack([state[list(where)] for state in recording.stream])
    left = set(range(len(edits)))
    for whole in (False, True):
        these = [index for index, one in enumerate(edits) if _of_all(one) is whole]
        for start, members in groups([edits[index] for index in these], recording):
            some: dict[int, Stream] = {}
            group = (start, [these[member] for member in members])
            _replayed(recording, edits, group, where, clean, some, memory)
            left -= some.keys()
            yield from some.items()
    yield from ((index, clean) for index in sorted(left))


@torch.no_grad()
def _replayable(recording: Recording, edits: Sequence[Edits]) -> bool:
    return recording.fallback is None and unproved(recording, edits) is None


def _of_all(edits: Edits) -> bool:
    """Whether what is done needs every position that it names, read or not."""
    writes = (edit for edit in edits if isinstance(edit, Write))
    partly = any(not isinstance(w.value, Tensor) or w.site.name in WEIGHTS for w in writes)
    return partly or bool(edges(edits))


@torch.no_grad()
def _replayed(
    recording: Recording,
    edits: Sequence[Edits],
    group: tuple[int, list[int]],
    where: tuple[int, ...],
    clean: Stream,
    found: dict[int, Stream],
    memory: int | None,
) -> None:
    """The streams of one group of conditions, pass by pass."""
    start, members = group
    # A mask with edges cut is made for the whole prompt, and what a function is given, or what
    # holds a weight for each key, must not end early.
    whole = not recording.causal or any(_of_all(edits[one]) for one in members)
    end = recording.length if whole else where[-1] + 1
    at = [index for index, position in enumerate(where) if position >= start]
    if not at:
        return
    wanted = [where[index] - start for index in at]
    per_head = any(edge.heads for one in members for edge in edges(edits[one]))
    size = max(
        1, (memory or pass_memory(recording.checkpoint)) // row_bytes(recording, start, per_head)
    )

    def run(some: Sequence[int]) -> None:
        streams = {index: clean.clone() for index in some}

        def seen(place: int, batch: BatchRows, ran: Sequence[int], hidden: Tensor) -> None:
            columns = [ran.index(where[index]) for index in at]
            for index, row in zip(*batch.touched(some), strict=True):
                streams[index][place, at] = hidden[row, columns].to(clean.device)

        changed = [edits[index] for index in some]
        replay(recording, changed, start, end=end, wanted=wanted, seen=seen)
        found.update(streams)

    in_passes(members, size, run)
