"""Extraction: which attention paths carry an object to the answer, and in which layers?

Paper, section 5: attention from a place (the last position; the last row of visual tokens) to a
group of visual tokens is knocked out in a window of layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from retinoscope.engine import Recording, evaluate, look
from retinoscope.engine.edits.checks import Checked
from retinoscope.errors import InterventionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.knockout.named import NamedKnockout
from retinoscope.experiments.knockout.records import KnockoutRecord
from retinoscope.experiments.knockout.settings import KnockoutSettings
from retinoscope.experiments.knockout.sweep import sweep
from retinoscope.experiments.knockout.windows import windows
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.settings import Settings, buffer_name
from retinoscope.experiments.target import Target, skip
from retinoscope.models import Checkpoint
from retinoscope.results.records import Record, SkippedRecord
from retinoscope.tasks import Query, Score, queries_of, score_next
from retinoscope.tokens import TokenSet, at, last, row, visual


def measure(bench: Bench[KnockoutSettings], target: Target) -> list[Record]:
    """The knockouts of one object."""
    records, skipped = knockout(bench.checkpoint, target, bench.settings, bench.own)
    return [*records, *skipped]


def knockout(
    checkpoint: Checkpoint, target: Target, settings: Settings, own: KnockoutSettings
) -> tuple[list[KnockoutRecord], list[SkippedRecord]]:
    """Measure every group, place and window on one curated object, polled and asked.

    With the same clean runs, the sweeps that its own settings name (see `sweep`).

    Returns:
        The records, the clean run of each task first, and what could not be measured and why.

    Raises:
        SampleError, SelectionError, TokenMapError: this object can't be measured.
        ModelError: this model can't be.
    """
    asked, unasked = queries_of(
        *(settings.tasks, target, checkpoint.tokenizer), always_a=settings.protocol.always_a
    )
    queries = [query for query in asked if not (query.written or query.control)]
    skipped = [
        skip("knockout", target, one.task, one.reason)
        for one in unasked
        if one.task in settings.tasks
    ]
    records: list[KnockoutRecord] = []
    for query in queries:
        recording = look(checkpoint, target.image, query.question, prefix=query.prefix)
        knockouts = _knockouts(recording, target, query, settings, own, skipped)
        clean, found, idle = under_knockouts(recording, knockouts)
        skipped += [
            skip("knockout", target, f"{query.task}: {named.name}", reason)
            for named, reason in idle
        ]
        lines = [(None, clean), *found] if found else []
        for named, logits in lines:
            score = score_next(query, logits, checkpoint.tokenizer)
            records.append(_record(target, query, named, score))
    return records, skipped


def under_knockouts(
    recording: Recording, knockouts: Sequence[NamedKnockout]
) -> tuple[Tensor, list[tuple[NamedKnockout, Tensor]], list[tuple[NamedKnockout, str]]]:
    """Next-token logits of the clean run and under every knockout; which can't be done, and why.

    The edges of a knockout may not exist for an object (behind a sliding window, in a layer without
    attention); the others are measured all the same.
    """
    able: list[NamedKnockout] = []
    idle: list[tuple[NamedKnockout, str]] = []
    alone: list[Tensor] = []
    check, whole = Checked(recording), recording.fallback is not None
    for named in knockouts:
        try:
            if whole:
                alone.append(evaluate(recording, [(named.intervention,)]).logits[0])
            else:
                check.edits((named.intervention,))
        except InterventionError as error:
            idle.append((named, str(error)))
        else:
            able.append(named)
    together = [] if whole else [(named.intervention,) for named in able]
    clean, *found = evaluate(recording, [(), *together]).logits
    return clean, list(zip(able, alone if whole else found, strict=True)), idle


def groups(recording: Recording, target: Target, settings: Settings) -> dict[str, TokenSet]:
    """The paper's groups of visual tokens, by name."""
    layout = recording.encoded.layout
    tokens = object_tokens(layout, target.mask, settings)
    found = {buffer_name(buffer): tokens.dilate(buffer) for buffer in settings.buffers}
    found["all but object+1"] = visual(layout) - tokens.dilate(1)
    found["all but last row"] = visual(layout) - row(layout, -1)
    return found


def _knockouts(
    recording: Recording,
    target: Target,
    query: Query,
    settings: Settings,
    own: KnockoutSettings,
    skipped: list[SkippedRecord],
) -> list[NamedKnockout]:
    layout = recording.encoded.layout
    places = {"last position": last(layout), "last row": row(layout, -1)}
    named = groups(recording, target, settings)
    knockouts: list[NamedKnockout] = []
    for group, tokens in named.items():
        for place, queries in places.items():
            # The paper asks what flows into the row, so the row's own tokens are not among the
            # keys; in its code they are.
            keys = tokens if settings.protocol.keys_in_last_row else tokens - queries
            if not keys:
                condition = f"{query.task}: {group} -> {place}"
                skipped.append(
                    skip(
                        "knockout", target, condition, "no token of the group is left to knock out"
                    )
                )
                continue
            # Within a row a token can't read those to its right.
            reading = at(layout, [query for query in queries if query >= min(keys)])
            knockouts += [
                NamedKnockout(group, place, window, layers, keys, reading)
                for window, layers in windows(recording.layer_count).items()
            ]
    # The settings' buffers need not hold the one that is swept.
    near = visual(layout) - named["all but object+1"]
    swept, missing = sweep(recording, near, own.sweeps)
    skipped += [
        skip("knockout", target, f"{query.task}: {name}", reason) for name, reason in missing
    ]
    return knockouts + swept


def _record(
    target: Target, query: Query, named: NamedKnockout | None, score: Score
) -> KnockoutRecord:
    return KnockoutRecord(
        image_id=target.sample.image_id,
        object_id=target.annotation.object_id,
        class_name=target.class_name,
        task=query.task,
        prompt=query.question,
        group=named.group if named else "",
        target=named.target if named else "",
        window=named.window if named else "none",
        first_layer=named.layers[0] if named else -1,
        last_layer=named.layers[-1] if named else -1,
        keys=len(named.keys) if named else 0,
        edges=len(named.keys) * len(named.queries) if named else 0,
        answer=score.answer,
        right=score.right,
        probability=score.probability,
        margin=score.margin,
        right_original=score.right_original,
        top_probability=score.top_probability,
        head=named.head if named else -1,
    )
