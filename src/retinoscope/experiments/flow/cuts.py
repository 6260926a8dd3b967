"""Knockouts: who reads whom, in which layer, with the other weights renormalised or kept."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from retinoscope.attribution import attention_by_layer
from retinoscope.engine import Recording
from retinoscope.errors import InterventionError, SampleError, SelectionError
from retinoscope.experiments.flow.item import Item
from retinoscope.experiments.flow.records import FORMS, QUERIES, FlowCutRecord
from retinoscope.experiments.flow.scoring import asking
from retinoscope.experiments.held import Edited, additions, held_behind
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target
from retinoscope.interventions import Condition, Edits, Knockout, Site, Write
from retinoscope.interventions.edits import Context
from retinoscope.tokens import TokenLayout, TokenSet, at, visual


@dataclass(frozen=True)
class Unread:
    """Attention weights set to zero, the others as they were: what was read there is missing.

    Attributes:
        queries: positions that read nothing there.
        keys: positions that are not read.
        layer: the decoder layer.
    """

    queries: tuple[int, ...]
    keys: tuple[int, ...]
    layer: int

    def edits(self, context: Context) -> Edits:
        """One write of the layer's attention weights."""
        return (Write(Site("attn_probs", self.layer), self.queries, self._without),)

    def _without(self, weights: Tensor) -> Tensor:
        weights = weights.clone()
        weights[..., list(self.keys)] = 0
        return weights


def groups(item: Item, settings: Settings) -> tuple[dict[str, TokenSet], dict[str, str]]:
    """Whom the last position may read, by name; and why a group is not there."""
    layout, own = item.recording.layout, item.tokens
    others = _others(item.target, layout, settings) - own
    near = own.dilate(1) - own - others
    question = at(layout, asking(item)[:-1]) if len(asking(item)) > 1 else None
    found = {
        "object": own,
        "other objects": others,
        "near": near,
        "far": visual(layout) - own - others - near,
        "question": question,
    }
    missing = {name: f"there are no tokens of {name}" for name, group in found.items() if not group}
    return {name: group for name, group in found.items() if group}, missing


def _others(target: Target, layout: TokenLayout, settings: Settings) -> TokenSet:
    """Tokens of the image's other objects, as far as their masks can be read."""
    found = at(layout, [])
    for other in target.others:
        try:
            found = found | object_tokens(layout, target.mask_of(other), settings)
        except (SampleError, SelectionError):
            continue
    return found


def cut_records(item: Item, settings: Settings) -> tuple[list[FlowCutRecord], dict[str, str]]:
    """Every layer and group, knocked out in turn; and what can't be, by name."""
    named, missing = groups(item, settings)
    readers = {QUERIES[0]: asking(item)[-1:], QUERIES[1]: asking(item)}
    planned: list[tuple[str, str, int, str]] = []
    conditions: list[Condition] = []
    held = _held(item.recording, missing)
    for layer in range(item.recording.layer_count):
        for queries, form, group in _kinds(named):
            keys, where = tuple(named[group]), readers[queries]
            if form == FORMS[2] and not held:
                continue
            cut = Unread(where, keys, layer) if form == FORMS[1] else Knockout(where, keys, [layer])
            try:
                cut.edits(item.recording)
            except InterventionError as error:
                missing[f"layer {layer}, {group}, {form}"] = str(error)
                continue
            planned.append((queries, form, layer, group))
            conditions.append((cut, held[layer]) if form == FORMS[2] else (cut,))
    runs = item.runs(conditions)
    seen = {name: attention_by_layer(item.recording, where) for name, where in readers.items()}
    return [
        FlowCutRecord(
            image_id=item.target.sample.image_id,
            object_id=item.target.annotation.object_id,
            class_name=item.target.class_name,
            task=item.query.task,
            queries=queries,
            form=form,
            layer=layer,
            group=group,
            keys=len(named[group]),
            attention=float(seen[queries][layer, list(named[group])].sum()),
            clean_ld=item.clean.ld,
            ld=run.ld,
            right=run.right,
        )
        for (queries, form, layer, group), run in zip(planned, runs, strict=True)
    ], missing


def _kinds(named: dict[str, TokenSet]) -> list[tuple[str, str, str]]:
    """Queries, form and group of every cut: the question reading itself is left alone."""
    last, both = QUERIES
    alone = [(last, form, group) for form in FORMS for group in named]
    return alone + [(both, FORMS[0], group) for group in named if group != "question"]


def _held(recording: Recording, missing: dict[str, str]) -> list[Edited]:
    """By layer what is added later at the last position, as on the clean run; none if it can't."""
    last = [recording.length - 1]
    try:
        added = additions(recording, last)
    except InterventionError as error:
        missing[FORMS[2]] = str(error)
        return []
    return [held_behind(added, layer, last) for layer in range(recording.layer_count)]
