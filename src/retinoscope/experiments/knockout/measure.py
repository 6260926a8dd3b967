"""Extraction: which attention paths carry an object to the answer, and in which layers?

Paper, section 5: attention from a place (the last position; the last row of visual tokens) to a
group of visual tokens is forbidden in a window of layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from retinoscope.engine import Recording, evaluate, look
from retinoscope.engine.edits.checks import Checked
from retinoscope.errors import InterventionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.knockout.cut import Cut
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
        cuts = _cuts(recording, target, query, settings, own, skipped)
        clean, found, idle = under_cuts(recording, cuts)
        skipped += [
            skip("knockout", target, f"{query.task}: {cut.name}", reason) for cut, reason in idle
        ]
        lines = [(None, clean), *found] if found else []
        for cut, logits in lines:
            score = score_next(query, logits, checkpoint.tokenizer)
            records.append(_record(target, query, cut, score))
    return records, skipped


def under_cuts(
    recording: Recording, cuts: Sequence[Cut]
) -> tuple[Tensor, list[tuple[Cut, Tensor]], list[tuple[Cut, str]]]:
    """Next-token logits of the clean run and under every cut; what can't be cut here, and why.

    The edges of a cut may not exist for an object (behind a sliding window, in a layer without
    attention); the other cuts are measured all the same.
    """
    able: list[Cut] = []
    idle: list[tuple[Cut, str]] = []
    alone: list[Tensor] = []
    check, whole = Checked(recording), recording.fallback is not None
    for cut in cuts:
        try:
            if whole:
                alone.append(evaluate(recording, [(cut.knockout,)]).logits[0])
            else:
                check.edits((cut.knockout,))
        except InterventionError as error:
            idle.append((cut, str(error)))
        else:
            able.append(cut)
    together = [] if whole else [(cut.knockout,) for cut in able]
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


def _cuts(
    recording: Recording,
    target: Target,
    query: Query,
    settings: Settings,
    own: KnockoutSettings,
    skipped: list[SkippedRecord],
) -> list[Cut]:
    layout = recording.encoded.layout
    places = {"last position": last(layout), "last row": row(layout, -1)}
    named = groups(recording, target, settings)
    cuts: list[Cut] = []
    for group, tokens in named.items():
        for place, queries in places.items():
            # The paper asks what flows into the row, so the row's own tokens are not among the
            # keys; in its code they are.
            keys = tokens if settings.protocol.keys_in_last_row else tokens - queries
            if not keys:
                condition = f"{query.task}: {group} -> {place}"
                skipped.append(
                    skip("knockout", target, condition, "no token of the group is left to cut")
                )
                continue
            # Within a row a token can't read those to its right.
            reading = at(layout, [query for query in queries if query >= min(keys)])
            cuts += [
                Cut(group, place, window, layers, keys, reading)
                for window, layers in windows(recording.layer_count).items()
            ]
    # The settings' buffers need not hold the one that is swept.
    near = visual(layout) - named["all but object+1"]
    swept, missing = sweep(recording, near, own.sweeps)
    skipped += [
        skip("knockout", target, f"{query.task}: {name}", reason) for name, reason in missing
    ]
    return cuts + swept


def _record(target: Target, query: Query, cut: Cut | None, score: Score) -> KnockoutRecord:
    return KnockoutRecord(
        image_id=target.sample.image_id,
        object_id=target.annotation.object_id,
        class_name=target.class_name,
        task=query.task,
        prompt=query.question,
        group=cut.group if cut else "",
        target=cut.target if cut else "",
        window=cut.window if cut else "none",
        first_layer=cut.layers[0] if cut else -1,
        last_layer=cut.layers[-1] if cut else -1,
        keys=len(cut.keys) if cut else 0,
        edges=len(cut.keys) * len(cut.queries) if cut else 0,
        answer=score.answer,
        right=score.right,
        probability=score.probability,
        margin=score.margin,
        right_original=score.right_original,
        top_probability=score.top_probability,
        head=cut.head if cut else -1,
    )
