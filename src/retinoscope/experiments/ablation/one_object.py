"""One object of one image: what the model says with its tokens, without them, and with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from retinoscope.engine import Recording, evaluate, generate, look
from retinoscope.errors import RunError
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.one_object import OneObject
from retinoscope.experiments.selections import (
    Missing,
    Selection,
    matched_selections,
    noise_seed,
    object_selections,
    object_tokens,
)
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import Target
from retinoscope.interventions import Ablate, Condition, Noise
from retinoscope.models import Checkpoint
from retinoscope.report.wording import chance
from retinoscope.tasks import Query, Score, queries_of, score_next, score_text

PROBABILITY = "P(...): the probability of the right answer's first token, whatever was answered."


@dataclass(frozen=True)
class Answer:
    """One answer about the object.

    Attributes:
        task: "describe", "poll" or "ask".
        selection: whose tokens were replaced: "none" (the clean run), "object", "object+1", or
            "random" ones, as many as `matched`, drawn outside it.
        matched: for "random": the selection whose size it has; else "".
        tokens: how many tokens were replaced.
        score: the answer as text, whether it is right, and the right token's probability.
    """

    task: str
    selection: str
    matched: str
    tokens: int
    score: Score


def show(bench: Bench[AblationSettings], target: Target) -> OneObject:
    """What the model answers about one object, as a table."""
    found = answers(bench.checkpoint, target, bench.settings)
    table = _table(found, bench.settings.values[0], target.class_name)
    return OneObject(found, (table,), _missed(found, target.class_name))


def answers(checkpoint: Checkpoint, target: Target, settings: Settings) -> list[Answer]:
    """What the model answers when the object's tokens, or as many others, are replaced.

    The heart of the ablation experiment (paper, section 3) for one object: no fixed sizes, no
    registers, no gradients. Tokens are replaced by the first of the settings' values, which can't
    be "resampled" here: there is no other image.

    Args:
        checkpoint: the model; its mean visual token must be known where the value is "mean".
        target: the object; it is asked about where it has a question.
        settings: buffers, tasks, the value and the seed.

    Raises:
        SelectionError: the object lies outside the part of the image that the model sees.
        SampleError, TokenMapError: the object can't be measured.
        RunError: the first value is "resampled".
        InterventionError, ModelError: this model can't be.
    """
    if settings.values[0] == "resampled":
        raise RunError("There is no other image here to resample; begin values with another.")
    asked, _ = queries_of(
        *(settings.tasks, target, checkpoint.tokenizer), always_a=settings.protocol.always_a
    )
    found: list[Answer] = []
    for query in (query for query in asked if not query.control):
        task = query.task
        length = settings.max_new_tokens if query.written else 0
        recording = look(
            checkpoint, target.image, query.question, prefix=query.prefix, max_new_tokens=length
        )
        chosen = _selections(recording, target, settings)
        conditions: list[Condition] = [(), *((_ablate(s, target, settings),) for s in chosen)]
        clean, *others = _scores(recording, query, conditions)
        found.append(Answer(task, "none", "", 0, clean))
        found += [
            Answer(task, s.name, s.matched, len(s.tokens), score)
            for s, score in zip(chosen, others, strict=True)
        ]
    return found


def _ablate(selection: Selection, target: Target, settings: Settings) -> Ablate:
    if settings.values[0] == "noise":
        seed = noise_seed(selection, target.annotation.object_id, settings)
        return Ablate(selection.tokens, Noise(seed))
    return Ablate(selection.tokens, "zero" if settings.values[0] == "zero" else "mean")


def _selections(recording: Recording, target: Target, settings: Settings) -> list[Selection]:
    """The object with each buffer, each followed by its matched random set where there is one."""
    tokens = object_tokens(recording.encoded.layout, target.mask, settings)
    objects = object_selections(tokens, settings)
    matched = matched_selections(objects, target.annotation.object_id, settings)
    drawn = {s.matched: s for s in matched if not isinstance(s, Missing)}
    return [s for one in objects for s in (one, drawn.get(one.name)) if s is not None]


def _scores(recording: Recording, query: Query, conditions: list[Condition]) -> list[Score]:
    checkpoint = recording.checkpoint
    if not query.written:
        outcome = evaluate(recording, conditions)
        return [score_next(query, row, checkpoint.tokenizer) for row in outcome.logits]
    found = generate(recording, conditions)
    return [score_text(query, checkpoint.text(answer.tokens)) for answer in found]


def _table(found: Sequence[Answer], value: str, name: str) -> Table:
    """A row for each replaced set of tokens, a column for each task.

    Args:
        found: the answers.
        value: "mean" or "zero", what stood in the tokens' place.
        name: what the object is.
    """
    tasks = list(dict.fromkeys(answer.task for answer in found))
    title = f"Answers, with tokens replaced by {'their mean' if value == 'mean' else 'zero'}"
    table = Table("replaced", "tokens", *tasks, title=title, title_justify="left")
    table.caption, table.caption_justify = PROBABILITY, "left"
    rows = dict.fromkeys((answer.selection, answer.matched) for answer in found)
    for selection, matched in rows:
        own = {a.task: a for a in found if (a.selection, a.matched) == (selection, matched)}
        label = f"random, as many as {matched}" if matched else selection
        cells = [_scored(own[task], name) if task in own else Text("-") for task in tasks]
        table.add_row(label, str(next(iter(own.values())).tokens), *cells)
    return table


def _missed(found: Sequence[Answer], name: str) -> str:
    """One line of warning where a clean answer is wrong; "" where all are right."""
    tasks = [a.task for a in found if a.selection == "none" and not a.score.right]
    if not tasks:
        return ""
    return (
        f"Note: with nothing replaced the model does not name the {name} ({', '.join(tasks)}). It "
        "may not see it, and what follows says little about it."
    )


def _scored(answer: Answer, name: str) -> Text:
    score = answer.score
    text = Text(score.answer, "green" if score.right else "red")
    if score.probability is not None:
        text.append(f" ({chance(answer.task, name)} = {score.probability:.3f})", "dim")
    return text
