"""Attention flow with causal validation: what each score promises, and what taking it away does.

Every score orders an image's visual tokens. The first of them are deleted, or all others, in
growing sets; attention is cut layer by layer and group by group; blocks of tokens are ablated. All
of it is measured on the logit difference of the right answer and the best wrong one.
"""

from __future__ import annotations

from torch import Tensor

from retinoscope.errors import InterventionError
from retinoscope.experiments.ablation.measure import donor
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.flow.blocks import block_records
from retinoscope.experiments.flow.cuts import cut_records
from retinoscope.experiments.flow.item import Item, item_of
from retinoscope.experiments.flow.scoring import scores
from retinoscope.experiments.flow.sets import (
    Replace,
    clean_record,
    replacing,
    set_records,
    trials,
)
from retinoscope.experiments.flow.settings import FlowSettings
from retinoscope.experiments.target import Target, random_source, skip
from retinoscope.models.visual_tokens import visual_tokens
from retinoscope.results.records import Record
from retinoscope.tasks import queries_of


def measure(bench: Bench[FlowSettings], target: Target) -> list[Record]:
    """Every score, set, cut and block of one object, polled and asked.

    Raises:
        SampleError, SelectionError, TokenMapError: this object can't be measured.
        InterventionError, ModelError: this model can't be.
    """
    settings = bench.settings
    if _place(bench, target) >= bench.own.objects:
        reason = f"it is not among the first {bench.own.objects} candidates (flow.objects)"
        return [skip("flow", target, "", reason)]
    asked, unasked = queries_of(
        *(settings.tasks, target, bench.checkpoint.tokenizer), always_a=settings.protocol.always_a
    )
    found: list[Record] = [
        skip("flow", target, one.task, one.reason) for one in unasked if one.task in settings.tasks
    ]
    for query in asked:
        if query.written or query.control:
            continue
        item = item_of(bench, target, query)
        if item.recording.fallback is not None:
            reason = f"its layers can't be replayed one by one: {item.recording.fallback}"
            found.append(skip("flow", target, query.task, reason))
        elif item.clean.right:
            found += measured(bench, item)
        else:
            # Counted, not measured: what an answer rests on is asked of right answers.
            found.append(clean_record(item))
    return found


def measured(bench: Bench[FlowSettings], item: Item) -> list[Record]:
    """All that is measured of one question that is answered rightly when clean."""
    task, target, object_id = item.query.task, item.target, item.target.annotation.object_id
    random = random_source(bench.settings.seed, object_id, f"flow-{task}")
    probed = _place(bench, target) < bench.own.probed
    values = _values(bench, item, probed=probed)
    first = next(iter(values))
    scored, missing = scores(item, random, probed=probed, value=first)
    chosen = trials(item, scored, bench.own.sizes, values, random)
    found: list[Record] = [*set_records(item, scored, chosen)]
    cuts, uncut = cut_records(item, bench.settings)
    found += cuts
    if probed:
        blocks = block_records(item, scored, values[first])
        found += blocks
        if not blocks:
            uncut["blocks"] = "the visual tokens have no place in the image"
    skipped = {**missing, **uncut}
    return found + [skip("flow", target, f"{task}: {name}", why) for name, why in skipped.items()]


def _place(bench: Bench[FlowSettings], target: Target) -> int:
    """The object's place among the candidates; 0 for one that is no candidate."""
    own = target.annotation.object_id
    ids = (annotation.object_id for _, annotation in bench.candidates)
    return next((place for place, other in enumerate(ids) if other == own), 0)


def _values(bench: Bench[FlowSettings], item: Item, *, probed: bool) -> dict[str, Replace]:
    """What stands in ablated tokens' place: the run's first value, and of probed objects all."""
    names = bench.settings.values if probed else bench.settings.values[:1]
    seed = int(
        random_source(bench.settings.seed, item.target.annotation.object_id, "flow-noise").integers(
            2**31
        )
    )
    donated = _donated(bench, item.target) if "resampled" in names else None
    made = {name: replacing(name, seed, item.visual, donated) for name in names}
    found = {name: replace for name, replace in made.items() if replace is not None}
    if not found:
        raise InterventionError(
            f"No other image has visual tokens to stand in for those of {item.target.key}; give "
            "another value first, such as mean."
        )
    return found


def _donated(bench: Bench[FlowSettings], target: Target) -> Tensor | None:
    image = donor(target, bench.candidates)
    return None if image is None else visual_tokens(bench.checkpoint, image)
