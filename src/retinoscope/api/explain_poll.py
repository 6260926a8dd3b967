"""Explain a poll: what makes a model say yes (or no), ranked, each finding repeatable."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image

from retinoscope.api.asked_for import AskedFor, measures
from retinoscope.api.polling import yes
from retinoscope.api.regions import positions_code
from retinoscope.api.vlm import VLM
from retinoscope.brief import brief
from retinoscope.errors import InterventionError, ModelError, SampleError
from retinoscope.interventions import Knockout
from retinoscope.tasks import named, poll
from retinoscope.tokens import TokenSet

MOST = 12
"""Regions that are removed together at most, strongest first, to turn the answer."""

NATS = "nats"
SHARE = "share"


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        what: in words.
        value: the number; in nats a change of the log-odds of yes, else a share of 0 to 1.
        unit: "nats" or "share".
        code: the line of Python that gives the number again, behind `PollExplanation.setup`.
    """

    what: str
    value: float
    unit: str
    code: str


@dataclass(frozen=True, eq=False)
class PollExplanation:
    """What makes a model say yes (or no) when it is asked whether an object is in an image.

    Attributes:
        name: the object.
        question: what the model was asked.
        answer: its answer.
        log_odds: of yes, in nats, on the clean image.
        present: an object that the model names by itself, to compare with; "" where there is none.
        setup: the lines of Python that come before each finding's.
        findings: changes of the log-odds first, the largest first; then what patches decode to.
        compared: one row for each measure: the object's, and the present object's (null without).
    """

    name: str
    question: str
    answer: str
    log_odds: float
    present: str
    setup: str
    findings: tuple[Finding, ...]
    compared: pl.DataFrame

    def __repr__(self) -> str:
        first = f"; first: {self.findings[0].what}" if self.findings else ""
        return (
            f"PollExplanation({self.name!r}: {self.answer!r}, {len(self.findings)} findings{first})"
        )

    def frame(self) -> pl.DataFrame:
        """The findings in their order: rank (from 1), finding, value, unit and code."""
        rows = [
            (rank, one.what, one.value, one.unit, one.code)
            for rank, one in enumerate(self.findings, 1)
        ]
        return pl.DataFrame(rows, ["rank", "finding", "value", "unit", "code"], orient="row")


def explain_poll(
    vlm: VLM, image: Image.Image | str | Path, name: str, *, present: str | None = None
) -> PollExplanation:
    """Explain why the model says that an object is in an image, or that it isn't.

    The image is removed as a whole, region by region, and until the answer turns; the last
    position's reading of it is knocked out layer by layer; and its patches are decoded. The same is
    measured of an object that the model names by itself. Removed tokens become the mean visual
    token, or zero where the model has none.

    Args:
        vlm: the model.
        image: the image or its file.
        name: the object, such as "giraffe".
        present: an object to compare with, which the image shows; None takes what the model's
            description and its patches name most.

    Raises:
        ModelError: vlm is not a model.
        DataError: the tokenizer can't spell a name.
        SampleError: the file is not an image.
        SelectionError: the model's vocabulary has no yes or no.
    """
    if not isinstance(vlm, VLM):
        raise ModelError(f"A model is what rs.load(...) gives; got {brief(vlm)}.")
    for word in (name, present):
        if not isinstance(word, str | None):
            raise SampleError(f"An object is named in words, such as 'dog'; got {brief(word)}.")
    shown = f"{str(image)!r}" if isinstance(image, str | Path) else "image"
    asked = AskedFor.of(vlm, image, name)
    other = _named_by_itself(vlm, asked) if present is None else present
    beside = AskedFor.of(vlm, image, other) if other else None
    setup = f"vlm = rs.load({vlm.checkpoint.name!r})\nview = vlm.look({shown}, {asked.question!r})"
    findings = [*_removals(asked), *_layers(asked)]
    findings.sort(key=lambda one: -abs(one.value))
    return PollExplanation(
        name=name,
        question=asked.question,
        answer=asked.view.answer(),
        log_odds=asked.clean,
        present=other,
        setup=setup,
        findings=(*findings, *_decoded(asked)),
        compared=_compared(asked, beside),
    )


def _removals(asked: AskedFor) -> list[Finding]:
    """What removing the image, its strongest region and several regions does."""
    answer = "yes" if asked.sign > 0 else "no"
    everything = asked.view.tokens.visual
    left = asked.clean + asked.whole
    found = [
        Finding(
            f"all {len(everything)} visual tokens removed: the answer leans to "
            f"{'yes' if left > 0 else 'no'} without any image ({left:+.2f} nats)",
            asked.whole,
            NATS,
            asked.removal_code(everything),
        )
    ]
    middle = sorted(abs(one) for one in asked.effects)[len(asked.effects) // 2]
    for place, number in enumerate(asked.ranked[:3]):
        block, effect = asked.blocks[number], asked.effects[number]
        if asked.sign * effect < 0:
            rank = ("strongest", "second", "third")[place]
            what = (
                f"the {rank} region for {answer} removed ({block.name}, {len(block.tokens)} "
                f"tokens; the middle region moves {middle:.2f})"
            )
            found.append(Finding(what, effect, NATS, asked.removal_code(block.tokens)))
    return found + _turning(asked, answer)


def _turning(asked: AskedFor, answer: str) -> list[Finding]:
    """The fewest of the strongest regions without which the answer turns, if few are enough."""
    sets: list[TokenSet] = []
    for number in asked.ranked[:MOST]:
        tokens = asked.blocks[number].tokens
        sets.append(sets[-1] | tokens if sets else tokens)
    changed = yes(asked.view, [(asked.removed(one),) for one in sets]).log_odds.tolist()
    for count, (tokens, after) in enumerate(zip(sets, changed, strict=True), 1):
        if (after > 0) != (asked.sign > 0):
            share = len(tokens) / len(asked.view.tokens)
            what = (
                f"the {count} strongest regions removed: {answer} turns ({share:.0%} of the tokens)"
            )
            return [Finding(what, after - asked.clean, NATS, asked.removal_code(tokens))]
    return []


def _layers(asked: AskedFor) -> list[Finding]:
    """In which layers the last position reads what makes the answer."""
    view, everything = asked.view, asked.view.tokens.visual
    layers = range(view.recording.layer_count)
    strongest = asked.strongest.tokens
    cuts = [(Knockout(view.last, everything, [layer]),) for layer in layers]
    cuts.append((Knockout(view.last, strongest, layers),))
    try:
        *single, direct = (yes(view, cuts).log_odds - asked.clean).tolist()
    except InterventionError:  # a layer that doesn't attend, or doesn't show its attention
        return []
    found = []
    by_support = sorted(layers, key=lambda layer: asked.sign * single[layer])
    for layer in by_support[:2]:
        what = f"the last position can't read the image in layer {layer}"
        code = asked.code(f"rs.Knockout(view.last, view.tokens, [{layer}])")
        found.append(Finding(what, single[layer], NATS, code))
    what = (
        f"the last position can't read the strongest region ({asked.strongest.name}) in any layer"
    )
    keys = positions_code(strongest)
    code = asked.code(f"rs.Knockout(view.last, {keys}, range({len(layers)}))")
    return [*found, Finding(what, direct, NATS, code)]


def _decoded(asked: AskedFor) -> list[Finding]:
    """What the patches decode to: the object's word, and what the strongest region says."""
    layer, position, probability, tops = asked.decoded
    what = (
        f"the patch that decodes to {asked.name!r} most (position {position}, layer {layer}); "
        f"it is the first word of {tops} {'patch' if tops == 1 else 'patches'} at most"
    )
    track = f"track={asked.name!r}).tracked()['probability'].max()"
    found = [Finding(what, probability, SHARE, f"view.lens(None, k=1, {track}")]
    tokens = asked.strongest.tokens
    words = Counter(
        word[0].strip().lower()
        for layer in asked.view.lens(tokens, k=1).top(1)[1:]
        for word in layer
        if len(word[0].strip()) > 2
    )
    if words:
        word, count = words.most_common(1)[0]
        readings = len(tokens) * (len(asked.lens.reading.ids) - 1)
        what = f"the strongest region decodes to {word!r} ({count} of {readings} readings)"
        chosen = f"view.lens({positions_code(tokens)}, k=1).top(1)[1:]"
        code = f"[w[0].strip().lower() for l in {chosen} for w in l].count({word!r}) / {readings}"
        found.append(Finding(what, count / readings, SHARE, code))
    return found


def _compared(asked: AskedFor, beside: AskedFor | None) -> pl.DataFrame:
    """The same measures of the object and of a present one."""
    columns = [measures(asked)] + ([measures(beside)] if beside else [])
    found: dict[str, list[Any]] = {"measure": list(columns[0])}
    for name, one in zip(("asked", "present"), columns, strict=False):
        found[name] = list(one.values())
    return pl.DataFrame(found)


def _named_by_itself(vlm: VLM, asked: AskedFor) -> str:
    """A word of the model's description that most patches decode to and that it says yes to."""
    image = asked.view.image
    text = vlm.look(image, "Describe this image.").answer()
    said = {word.strip(".,;:!?\"'()").lower() for word in text.split()}
    deep = asked.lens.top(1)[len(asked.lens.reading.ids) // 2 :]
    seen = Counter(
        word[0].strip().lower() for layer in deep for word in layer if len(word[0].strip()) > 2
    )
    for word, _ in seen.most_common():
        if word in said and not named(word, asked.name):
            view = vlm.look(image, poll(word, vlm.checkpoint.tokenizer).question)
            if float(yes(view).log_odds[0]) > 0:
                return word
    return ""
