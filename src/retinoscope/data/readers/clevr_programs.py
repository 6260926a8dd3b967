"""Run CLEVR's programs on its scenes, so that every step tells the objects it arrives at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retinoscope.data.readers.fields import Entry
from retinoscope.data.samples import Step
from retinoscope.errors import SampleError

Value = tuple[int, ...] | str | int | bool
"""What a step gives: objects by their index, a word, a number, or yes and no."""


@dataclass(frozen=True)
class Shapes:
    """What a program can ask of a scene.

    Attributes:
        objects: colour, shape, size and material of each.
        relations: of each relation and object, which objects stand so to it.
    """

    objects: tuple[Mapping[str, str], ...]
    relations: Mapping[str, list[list[int]]]


def follow(question: Entry, shapes: Shapes, answer: str, first: int) -> tuple[Step, ...]:
    """The steps of a question's program.

    A step that gives a word or a number has the objects that it was read from.

    Args:
        question: with its `program`.
        shapes: the scene.
        answer: what the data set says; the program must give it too.
        first: id of the scene's first object.

    Raises:
        DataError: a field of the program is missing or odd.
        SampleError: the program can't be run on the scene, or gives another answer.
    """
    values: list[Value] = []
    reached: list[tuple[int, ...]] = []
    steps = []
    for entry in question.entries("program"):
        op = entry.text("type" if "type" in entry.values else "function")
        inputs = tuple(entry.listed("inputs"))
        given = entry.listed("value_inputs", entry.listed("side_inputs", []))
        argument = str(given[0]) if given else ""
        if not all(isinstance(i, int) and 0 <= i < len(values) for i in inputs):
            raise SampleError(f"{entry.path}: {entry.where} takes {inputs}, no earlier steps.")
        try:
            value = _run(op, argument, [values[i] for i in inputs], shapes)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SampleError(
                f"{entry.path}: {entry.where}, {op} {argument!r} can't be run on its scene "
                f"({error!r}). The question is left out."
            ) from error
        before = tuple(dict.fromkeys(i for number in inputs for i in reached[number]))
        values.append(value)
        reached.append(value if isinstance(value, tuple) else before)
        steps.append(Step(op, argument, tuple(first + i for i in reached[-1]), inputs))
    said = _word(values[-1]) if values else ""
    if said != answer:
        raise SampleError(
            f"{question.path}: {question.where}: the program gives {said!r}, the data set "
            f"{answer!r}. The question is left out."
        )
    return tuple(steps)


def _word(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _run(op: str, argument: str, inputs: list[Value], shapes: Shapes) -> Value:
    """One function of CLEVR's language (`question_engine.py` of its generator)."""
    match op.split("_"):
        case ["scene"]:
            return tuple(range(len(shapes.objects)))
        case ["filter", name]:
            return tuple(i for i in _many(inputs[0]) if shapes.objects[i][name] == argument)
        case ["unique"]:
            return (_one(inputs[0]),)
        case ["relate"]:
            return tuple(sorted(shapes.relations[argument][_one(inputs[0])]))
        case ["same", name]:
            one = _one(inputs[0])
            same = shapes.objects[one][name]
            alike = (i for i, o in enumerate(shapes.objects) if o[name] == same)
            return tuple(i for i in alike if i != one)
        case ["intersect"]:
            return tuple(sorted(set(_many(inputs[0])) & set(_many(inputs[1]))))
        case ["union"]:
            return tuple(sorted(set(_many(inputs[0])) | set(_many(inputs[1]))))
        case ["count"]:
            return len(_many(inputs[0]))
        case ["exist"]:
            return bool(_many(inputs[0]))
        case ["query", name]:
            return shapes.objects[_one(inputs[0])][name]
        case ["equal", _]:
            return inputs[0] == inputs[1]
        case ["greater", "than"]:
            return _number(inputs[0]) > _number(inputs[1])
        case ["less", "than"]:
            return _number(inputs[0]) < _number(inputs[1])
        case _:
            raise ValueError("an unknown function")


def _many(value: Value) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"{value!r} is not a set of objects")
    return value


def _one(value: Value) -> int:
    (found,) = _many(value)
    return found


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not a number")
    return value
