"""Evaluate: what the model predicts next, under each of many conditions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.engine.edits.apply import STREAM, edges
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.edits.full import full_logits
from retinoscope.engine.recording.agreement import disagreement, once
from retinoscope.engine.recording.recording import Recording, Unreplayable
from retinoscope.engine.replay.batch_rows import BatchRows
from retinoscope.engine.replay.passes import groups, row_bytes
from retinoscope.engine.replay.replay import predicted, replay
from retinoscope.interventions import Condition, Edge, Edits, Write, as_condition
from retinoscope.interventions.edits import checked_positions
from retinoscope.models.memory import in_passes, pass_memory


@dataclass(frozen=True, eq=False)
class Outcome:
    """The next-token logits of each condition.

    Attributes:
        logits: float32, one row for each condition, at the last position of the prompt; or, where
            positions were asked for, one for each condition and position.
    """

    logits: Float[Tensor, "conditions *positions vocabulary"]

    __repr__ = brief_fields

    @property
    def margin(self) -> Float[Tensor, "conditions ..."]:
        """The first token's logit less the second's; where it is tiny, rounding decides."""
        first, second = self.logits.topk(2, dim=-1).values.unbind(-1)
        return first - second

    @property
    def probability(self) -> Float[Tensor, "conditions *positions vocabulary"]:
        """Softmax of the logits."""
        return self.logits.softmax(-1)


@torch.no_grad()
def evaluate(
    recording: Recording,
    conditions: Sequence[Condition],
    *,
    positions: Iterable[int] | None = None,
    memory: int | None = None,
) -> Outcome:
    """Next-token logits under each condition, equal to a full forward pass of the model.

    Only what a condition can change is computed: positions from the first that it reaches,
    layers from the first that it touches. Conditions that begin alike share that beginning, and
    many run in one pass. The empty condition is the recorded run itself.

    Args:
        recording: the clean run.
        conditions: each a tuple of interventions in force together; () is the clean run.
        positions: where to predict; None is the last position alone.
        memory: bytes of intermediate tensors in one pass, None for a size that suits the device;
            halved when memory runs out.

    Raises:
        InterventionError: an intervention can't be applied here, did not take effect, or a
            position lies outside the sequence.
    """
    check = Checked(recording)
    edits = [check.edits(as_condition(condition)) for condition in conditions]
    where = (recording.length - 1,)
    if positions is not None:
        where = checked_positions(positions, recording, "evaluate(positions=...)")
    shape = (len(edits), len(where), recording.logits.shape[-1])
    logits = torch.empty(shape, device=recording.logits.device)
    if isinstance(recording.replay, Unreplayable) or unproved(recording, edits) is not None:
        for index, one in enumerate(edits):
            last = None if positions is None else where
            logits[index] = full_logits(recording, one, last)
    else:
        replayed(recording, edits, where, memory or pass_memory(recording.checkpoint), logits)
    return Outcome(logits if positions is not None else logits[:, 0])


def unproved(recording: Recording, conditions: Sequence[Edits]) -> str | None:
    """Why conditions can't be replayed, although the model can; None where they can.

    Each site inside a layer, and patched edges, are compared with the full forward on the
    first condition of the model that has them, and again on each longer prompt: that the self-check
    passed says nothing of them.
    """
    found: str | None = None
    for edits in conditions:
        for edit in edits:
            name = _inside(edit)
            if name is None or found is not None:
                continue

            def ask(edit: Write | Edge = edit) -> str | None:
                return _differs(recording, (edit,))

            found = once(recording.checkpoint, f"replay of {name}", recording.length, ask)
    return found


def _inside(edit: Write | Edge) -> str | None:
    if isinstance(edit, Edge):
        return None if edit.source is None else "a patched path"
    return None if edit.site.name in STREAM else edit.site.name


def _differs(recording: Recording, edits: Edits) -> str | None:
    last, vocabulary = (recording.length - 1,), recording.logits.shape[-1]
    logits = recording.logits.new_empty((1, 1, vocabulary), dtype=torch.float32)
    replayed(recording, [edits], last, pass_memory(recording.checkpoint), logits)
    found = logits[0].to(recording.logits.dtype)
    error = disagreement(found, full_logits(recording, edits).to(found))
    return None if error is None else f"it differs from the full forward by {100 * error:.2g} %"


def replayed(
    recording: Recording,
    edits: Sequence[Edits],
    where: tuple[int, ...],
    memory: int,
    logits: Float[Tensor, "conditions positions vocabulary"],
) -> None:
    """Fill in the logits of every condition, pass by pass."""
    clean = torch.ones(logits.shape[:2], dtype=torch.bool)
    for start, members in groups(edits, recording):
        chosen = [edits[index] for index in members]
        per_head = any(edge.heads for one in chosen for edge in edges(one))
        size = max(1, memory // row_bytes(recording, start, per_head))

        def run(some: Sequence[int], start: int = start) -> None:
            changed = [edits[index] for index in some]
            found, batch, at = _changed(recording, changed, start, where)
            touched, rows = batch.touched(some)
            if touched and at:
                place = torch.tensor(touched)[:, None], torch.tensor(at)
                straight = rows == list(range(len(found)))
                logits[place] = found if straight else found[rows]
                clean[place] = False

        in_passes(members, size, run)
    if clean.any():
        clean = clean.to(logits.device)
        logits[clean] = _clean(recording, where).expand_as(logits)[clean]


def _changed(
    recording: Recording, edits: Sequence[Edits], start: int, where: tuple[int, ...]
) -> tuple[Float[Tensor, "rows changed vocabulary"], BatchRows, list[int]]:
    """Logits of every row at those positions that can have changed; whose row is whose."""
    at = [index for index, position in enumerate(where) if position >= start]
    wanted = [where[index] - start for index in at]
    states, plan = replay(recording, edits, start, wanted=wanted)
    there = [where[index] for index in at]
    return predicted(recording, states, plan[-1].edits, there), plan[-1], at


def _clean(recording: Recording, where: tuple[int, ...]) -> Float[Tensor, "positions vocabulary"]:
    if where == (recording.length - 1,):
        return recording.logits[None].float()
    return recording.unembed(recording.residual(recording.layer_count)[list(where)]).float()
