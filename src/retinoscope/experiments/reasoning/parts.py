"""Parts: which objects of an image play which part in a question with steps."""

from __future__ import annotations

from dataclasses import dataclass

from retinoscope.data import Question, Sample

COUNTING = "count"


@dataclass(frozen=True)
class Parts:
    """The objects of an image by the part they play, as object ids; no object plays two.

    Attributes:
        anchor: named by the question: what a step without inputs arrives at.
        between: what later steps arrive at on the way.
        answer: what the last step that arrives at things arrives at; what the question goes on to
            ask of them ("what color") arrives at none.
        rest: everything else in the image.
    """

    anchor: tuple[int, ...]
    between: tuple[int, ...]
    answer: tuple[int, ...]
    rest: tuple[int, ...]

    def named(self) -> dict[str, tuple[int, ...]]:
        """The parts that some object plays, by name; "rest" is left out."""
        parts = {"anchor": self.anchor, "between": self.between, "answer": self.answer}
        return {name: ids for name, ids in parts.items() if ids}


def counts(question: Question) -> bool:
    """Whether the last step counts."""
    return bool(question.steps) and question.steps[-1].op == COUNTING


def parts_of(sample: Sample, question: Question) -> Parts:
    """Sort the objects of an image by their part in a question.

    What is counted or compared is what the question names, so that such a question has anchors
    and no answer object.
    """
    starts = [step for step in question.steps if not step.inputs]
    later = [step for step in question.steps if step.inputs and step.object_ids]
    named = {i for step in starts for i in step.object_ids}
    answer = tuple(i for i in later[-1].object_ids if i not in named) if later else ()
    anchor = tuple(i for i in _once(starts) if i not in answer)
    between = tuple(i for i in _once(later) if i not in {*anchor, *answer})
    taken = {*anchor, *between, *answer}
    rest = tuple(one.object_id for one in sample.annotations if one.object_id not in taken)
    return Parts(anchor, between, answer, rest)


def _once(steps: list) -> dict[int, None]:
    return dict.fromkeys(i for step in steps for i in step.object_ids)
