"""Answer: several questions about one image, under conditions that are worked out once for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.evaluate import Outcome, evaluate, unproved
from retinoscope.engine.generate import Generation, Stop, continued, generate
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.replay.decoding import Decoding
from retinoscope.engine.replay.passes import kept_bytes
from retinoscope.engine.replay.prefix import prefix_states, shared_length
from retinoscope.interventions import Condition, Edits, Write, as_condition
from retinoscope.models.memory import in_passes, kept_memory

Asked = tuple[Recording, Sequence[Condition]]
"""A prompt, and the conditions under which it is to be answered."""


@dataclass(frozen=True, eq=False)
class Response:
    """What one prompt is answered with, under each of its conditions.

    Attributes:
        outcome: the next-token logits, as `evaluate` gives them.
        generations: the texts, as `generate` gives them; none where the prompt was recorded
            for no new tokens.
    """

    outcome: Outcome
    generations: tuple[Generation, ...] = ()

    __repr__ = brief_fields


@torch.no_grad()
def answer(
    asked: Sequence[Asked], *, stop: Stop | None = None, memory: int | None = None
) -> list[Response]:
    """Answer prompts under conditions, equal to evaluating and generating each of them alone.

    What a condition changes in the beginning that all prompts share, the image above all, is
    computed once, however many questions follow and whether text is generated or not. Conditions
    are one where they hold the same interventions (the same objects). Conditions that reach
    behind the shared beginning, knockouts, and prompts that share none run on their own.

    Args:
        asked: recorded prompts with their conditions; those recorded with `max_new_tokens` are also
            continued, for as many tokens.
        stop: ends a text early.
        memory: bytes of keys and values that are held at once, None for a size that suits the
            device; halved when memory runs out.

    Raises:
        InterventionError: as in `evaluate`.
    """
    given = [(one, [as_condition(c) for c in conditions]) for one, conditions in asked]
    known = _together(given, stop, memory) if given else []
    return [_response(*one, some, stop, memory) for one, some in zip(given, known, strict=True)]


_Given = tuple[Recording, list[Condition]]
_Found = tuple[Tensor, Generation | None]


def _together(
    given: Sequence[_Given], stop: Stop | None, memory: int | None
) -> list[dict[int, _Found]]:
    """For each prompt the answers under those of its conditions that could be shared, by index."""
    found: list[dict[int, _Found]] = [{} for _ in given]
    end = shared_length([recording for recording, _ in given])
    if not end:
        return found
    first = given[0][0]
    edits: dict[tuple[int, ...], Edits] = {}
    wanted: list[dict[tuple[int, ...], list[int]]] = [defaultdict(list) for _ in given]
    for (recording, conditions), places in zip(given, wanted, strict=True):
        check = Checked(recording)
        for index, condition in enumerate(conditions):
            name = tuple(map(id, condition))
            edits[name] = edits[name] if name in edits else check.edits(condition)
            places[name].append(index)

    def run(some: Sequence[tuple[int, ...]]) -> None:
        prefix = prefix_states(first, [edits[name] for name in some], end)
        for (recording, _), places, answers in zip(given, wanted, found, strict=True):
            rows = [row for row, name in enumerate(some) if name in places]
            if not rows:
                continue
            decoding = Decoding(recording, [edits[some[row]] for row in rows], prefix.of(rows))
            logits = decoding.logits
            texts: Sequence[Generation | None] = [None] * len(rows)
            if recording.max_new_tokens:
                texts = continued(decoding, recording, recording.max_new_tokens, stop)
            for row, one, text in zip(rows, logits, texts, strict=True):
                answers.update((index, (one, text)) for index in places[some[row]])

    # The prefix is held twice: as it is, and as the beginning of what each prompt goes on from.
    size = max(1, (memory or kept_memory(first.checkpoint)) // (2 * kept_bytes(first)))
    early = [name for name, one in edits.items() if _before(one, end)]
    proved = [name for name in early if unproved(first, [edits[name]]) is None]
    in_passes(proved, size, run)
    return found


def _before(edits: Edits, end: int) -> bool:
    """Whether a condition's work is done before the end of the shared beginning.

    Attention weights have one number for each key of the whole prompt.
    """
    return all(
        isinstance(edit, Write)
        and edit.positions[-1] < end
        and edit.site.name not in ("attn_scores", "attn_probs")
        for edit in edits
    )


def _response(
    recording: Recording,
    conditions: list[Condition],
    known: dict[int, _Found],
    stop: Stop | None,
    memory: int | None,
) -> Response:
    """The shared answers, and those that had to be found alone."""
    rest = [index for index in range(len(conditions)) if index not in known]
    some = [conditions[index] for index in rest]
    logits = evaluate(recording, some).logits
    texts: Sequence[Generation | None] = [None] * len(rest)
    if recording.max_new_tokens and rest:
        texts = generate(recording, some, stop=stop, memory=memory)
    known = known | dict(zip(rest, zip(logits, texts, strict=True), strict=True))
    found = [known[index] for index in range(len(conditions))]
    if found:
        logits = torch.stack([one for one, _ in found])
    return Response(Outcome(logits), tuple(text for _, text in found if text is not None))
