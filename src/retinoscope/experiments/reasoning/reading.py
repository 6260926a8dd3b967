"""Reading: where the result of a hidden step shows, by the logit lens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from retinoscope.errors import SelectionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.reasoning.asking import Item
from retinoscope.experiments.reasoning.records import ReadingRecord
from retinoscope.lens import read_lens
from retinoscope.results.own_settings import OwnSettings
from retinoscope.tasks import first_tokens
from retinoscope.tokens import TokenSet, last, word


def readings(item: Item, bench: Bench[OwnSettings]) -> Iterator[ReadingRecord]:
    """The hidden class and a control, at every place and layer; none where no step is hidden.

    The control is a thing in the image without a part in the question, so that a word that is
    read because everything in the image is read counts as nothing.
    """
    hidden, control = hidden_class(item), control_class(item)
    if not hidden or not control:
        return
    tokenizer = bench.checkpoint.tokenizer
    tracked = [first_tokens(tokenizer, [name]) for name in (hidden, control)]
    if not all(tracked) or tracked[0][0] == tracked[1][0]:
        return
    for place, positions in _places(item, tokenizer).items():
        ids = [tokens[0] for tokens in tracked]
        reading = read_lens(item.recording, positions, k=1, tracked=ids)
        best = reading.log_probability.max(-1).values
        for layer, (found, against) in enumerate(best.T.tolist()):
            yield ReadingRecord(
                image_id=item.target.sample.image_id,
                object_id=item.target.annotation.object_id,
                kind=item.question.kind,
                question=item.question.text,
                word=hidden,
                control=control,
                place=place,
                layer=layer,
                log_probability=found,
                control_log_probability=against,
            )


def hidden_class(item: Item) -> str:
    """The class that a step arrives at and that neither the question nor the answer names."""
    said = f"{item.question.text} {item.question.answer}".lower()
    classes = {one.object_id: one.class_name for one in item.target.sample.annotations}
    for step in item.question.steps:
        found = {classes[i] for i in step.object_ids}
        if step.inputs and len(found) == 1 and (name := found.pop()).lower() not in said:
            return name
    return ""


def control_class(item: Item) -> str:
    """The class of a thing without a part, which is none of those that have one."""
    classes = {one.object_id: one.class_name for one in item.target.sample.annotations}
    taken = {classes[i] for ids in item.parts.named().values() for i in ids}
    free = sorted({classes[i] for i in item.parts.rest} - taken)
    return free[item.target.annotation.object_id % len(free)] if free else ""


def _places(item: Item, tokenizer: Any) -> dict[str, TokenSet]:
    layout = item.recording.encoded.layout
    ids = item.recording.encoded.inputs["input_ids"][0].tolist()
    asked = item.prompt - item.prompt
    for step in item.question.steps:
        if not step.inputs and step.argument:
            try:
                asked |= word(layout, ids, tokenizer.decode, step.argument) & item.prompt
            except SelectionError:
                continue  # The question words it otherwise ("dogs" for "dog").
    places = {
        "asked word": asked,
        "question": item.prompt - asked,
        "last": last(layout),
        "answer": item.tokens_of(item.parts.answer),
    }
    return {name: tokens for name, tokens in places.items() if tokens}
