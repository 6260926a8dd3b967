"""What `retinoscope look` prints: answers, knockouts and the lens of one object."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from retinoscope.experiments.knockout.records import KnockoutRecord
from retinoscope.experiments.lens.records import LensRecord
from retinoscope.experiments.one_object import Answer
from retinoscope.report.wording import chance

PROBABILITY = "P(...): the probability of the right answer's first token, whatever was answered."


def answer_table(found: Sequence[Answer], value: str, name: str) -> Table:
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


def missed(found: Sequence[Answer], name: str) -> str:
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


def knockout_table(records: Sequence[KnockoutRecord]) -> Table:
    """A row for each task and cut, a column for each window of layers."""
    cut = [record for record in records if record.group]
    windows = {r.window: f"{r.first_layer}-{r.last_layer}" for r in cut}
    # Narrow heads, so that the table fits a terminal of 80 columns.
    heads = [name.replace("-", "-\n") + f"\n{layers}" for name, layers in windows.items()]
    title = "Answers and P(...), with attention cut in a window of layers"
    table = Table("task", "from, to", *heads, title=title, title_justify="left")
    for task, group, target in dict.fromkeys((r.task, r.group, r.target) for r in cut):
        own = {r.window: r for r in cut if (r.task, r.group, r.target) == (task, group, target)}
        cells = [
            Text(own[window].answer, "green" if own[window].right else "red").append(
                f"\n{own[window].probability:.3f}", "dim"
            )
            for window in windows
        ]
        of = chance(task, cut[0].class_name)
        table.add_row(Text(f"{task}\n{of}"), f"{group},\n{target}", *cells)
    return table


def lens_table(records: Sequence[LensRecord]) -> Table:
    """A row for each layer: how many patches decode to the object's word."""
    title = Text(f"Patches that decode to {records[0].class_name!r}")
    heads = ("layer", "object, strict", "object, lenient", "mean rank", "background, strict")
    table = Table(*heads, title=title, title_justify="left")
    own = {r.layer: r for r in records if r.region == "object"}
    behind = {r.layer: r for r in records if r.region == "background"}
    for layer, record in own.items():
        other = behind.get(layer)
        table.add_row(
            str(layer),
            f"{record.strict} of {record.patches}",
            f"{record.lenient} of {record.patches}",
            f"{record.rank:.1f}",
            f"{other.strict} of {other.patches}" if other else "-",
        )
    return table
