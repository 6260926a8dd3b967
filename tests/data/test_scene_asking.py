"""Laws of the questions in steps, of their audit and of minimal pairs."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import replace
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest

from retinoscope.data.scenes import (
    CLASSES,
    FORMS,
    KINDS,
    NEW_WORDS,
    Form,
    Layout,
    arrange,
    ask,
    audit,
    compose,
    draw_questions,
    kept_forms,
    minimal_pairs,
    render,
)
from retinoscope.data.scenes.arrange import MOST
from retinoscope.data.scenes.asking import blank
from retinoscope.data.scenes.language import caption, place, questions
from retinoscope.data.scenes.layouts import imagine_facts
from retinoscope.data.scenes.pairs import add_thing, mirror, remove_thing, repaint_thing
from retinoscope.data.scenes.wording import DIRECTIONS, Asked, neighbour
from retinoscope.errors import DataError


@pytest.fixture(scope="module")
def layouts() -> list[Layout]:
    counts = {"rows": 150, "groups": 110, "twins": 110}
    return [arrange(kind, 3, i) for kind in KINDS for i in range(counts.get(kind, 20))]


@pytest.fixture(scope="module")
def listed(layouts: list[Layout]) -> list[list[Asked]]:
    return [ask(layout) for layout in layouts]


def follow(layout: Layout, asked: Asked) -> str:
    """Answer a question anew, from its words and the layout alone."""
    things = layout.things
    text = asked.question.rstrip("?")

    def named(name: str) -> list[int]:
        return [i for i, t in enumerate(things) if name in (t.name, CLASSES[t.name].plural)]

    def towards(phrase: str) -> int:
        phrase = phrase.removeprefix("the ")
        for direction in DIRECTIONS:
            if phrase.startswith(f"thing {direction} "):
                found = neighbour(things, towards(phrase.split(f"{direction} ", 1)[1]), direction)
                assert found is not None
                return found
        (index,) = named(phrase)
        return index

    if match := re.fullmatch(r"How many (\w+) are there", text):
        return ["Zero", "One", "Two", "Three", "Four", "Five"][len(named(match[1]))]
    if match := re.fullmatch(r"Are there more (\w+) than (\w+)", text):
        return "Yes" if len(named(match[1])) > len(named(match[2])) else "No"
    if match := re.fullmatch(r"What is between the (\w+) and the (\w+)", text):
        a, b = (things[towards(name)] for name in match.groups())
        middle = np.array([(a.x + b.x) / 2, (a.y + b.y) / 2])
        return min(things, key=lambda t: float(np.linalg.norm(middle - (t.x, t.y)))).name
    if match := re.fullmatch(r"What is (directly \w+(?: of)?) (.+)", text):
        found = neighbour(things, towards(match[2]), match[1])
        assert found is not None
        return things[found].name
    if match := re.fullmatch(r"Where is the (\w+) (\w+)", text):
        (thing,) = (things[i] for i in named(match[2]) if things[i].paint == match[1])
        return place(thing.row, thing.column).removeprefix("at the ").removeprefix("in the ")
    match = re.fullmatch(r"What color is the (\w+)( (?:at|in) the [a-z ]+)", text)
    if match:
        where = match[2].strip()
        (thing,) = (things[i] for i in named(match[1]) if where == place(*cell(things[i])))
        return str(thing.paint)
    match = re.fullmatch(r"What color is (.+)", text)
    assert match, text
    return str(things[towards(match[1])].paint)


def cell(thing) -> tuple[int, int]:
    return thing.row, thing.column


def test_every_answer_follows_from_the_words_of_its_question(
    layouts: list[Layout], listed: list[list[Asked]]
) -> None:
    kinds: Counter[str] = Counter()
    for layout, asked in zip(layouts, listed, strict=True):
        for question in asked:
            kinds[question.kind] += 1
            assert follow(layout, question) == question.word
            assert question.word in question.answer
    assert set(kinds) == set(FORMS)


def test_steps_lead_to_the_answer(layouts: list[Layout], listed: list[list[Asked]]) -> None:
    for layout, asked in zip(layouts, listed, strict=True):
        for question in asked:
            for number, step in enumerate(question.steps):
                assert all(0 <= i < len(layout.things) for i in step.object_ids)
                assert all(0 <= i < number for i in step.inputs)
                if step.op == "select":
                    members = [i for i, t in enumerate(layout.things) if t.name == step.argument]
                    assert list(step.object_ids) == members
                    assert not step.inputs
                if step.op == "relate" and step.argument in DIRECTIONS:
                    (start,) = question.steps[step.inputs[0]].object_ids
                    assert step.object_ids == (neighbour(layout.things, start, step.argument),)
            if question.subject is not None:
                assert question.steps[-1].object_ids == (question.subject,)
            assert question.subject not in question.anchors


def test_a_neighbour_is_the_next_thing_on_the_line() -> None:
    """Of a row of three the middle one is the neighbour of both ends."""
    layout = next(x for i in range(99) if len((x := arrange("rows", 1, i)).things) == 3)
    across = layout.things[1].x - layout.things[0].x > 30
    back, on = ("left of", "right of") if across else ("above", "below")
    for start, direction, found in (
        (0, back, None), (1, back, 0), (2, back, 1), (0, on, 1), (1, on, 2), (2, on, None),
    ):  # fmt: skip
        assert neighbour(layout.things, start, f"directly {direction}") == found
    askew = replace(layout.things[1], x=layout.things[1].x + 20, y=layout.things[1].y + 20)
    things = (layout.things[0], askew, layout.things[2])
    assert neighbour(things, 0, f"directly {on}") is None


def test_the_shipped_forms_pass_the_audit(listed: list[list[Asked]]) -> None:
    rates = audit(listed, FORMS)
    assert all(rate.kept for rate in rates.values()), rates
    assert all(rate.pictures >= 80 for rate in rates.values())
    assert kept_forms(listed, FORMS) == FORMS


def test_the_audit_drops_the_old_relation_whose_answer_is_always_the_outermost() -> None:
    pictures = [questions(compose(0, i).facts) for i in range(60)]
    form = {"relation": Form("What is above the dog?", 0.1, 0.5)}
    rates = audit(pictures, form)["relation"]
    assert rates.blind > 0.95
    assert not rates.kept
    assert kept_forms(pictures, form) == {}


def test_the_audit_drops_what_the_text_gives_away(listed: list[list[Asked]]) -> None:
    def give_away(asked: Asked) -> Asked:
        return replace(asked, answer="Yes") if asked.kind == "compare" else asked

    told = [[give_away(asked) for asked in picture] for picture in listed]
    rates = audit(told, {"compare": FORMS["compare"]})["compare"]
    assert rates.text == 1.0
    assert not rates.kept


def test_the_audit_refuses_to_measure_nothing(listed: list[list[Asked]]) -> None:
    with pytest.raises(DataError, match="0 of 3 pictures can be asked the form 'count'"):
        audit([[], [], []], {"count": FORMS["count"]})


def test_in_each_picture_names_decide_the_answer(listed: list[list[Asked]]) -> None:
    for asked in listed:
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for question in asked:
            groups[blank(question.question)].append(question.answer)
        assert all(len(set(answers)) > 1 for answers in groups.values())


def test_all_new_words_are_listed(layouts: list[Layout], listed: list[list[Asked]]) -> None:
    file = files("retinoscope") / "models" / "embedded" / "tokenizer.json"
    tokenizer = json.loads(file.read_text("utf-8"))
    known = set(tokenizer["model"]["vocab"])
    rng = np.random.default_rng(0)
    said = {text for asked in listed for q in asked for text in (q.question, q.answer)}
    said |= {caption(imagine_facts(layout, rng), rng) for layout in layouts}
    words = {word for text in said for word in re.findall(r"\w+", text)}
    assert words - known <= set(NEW_WORDS)
    assert set(NEW_WORDS) <= words


def test_drawn_questions_are_the_layouts_own(layouts: list[Layout]) -> None:
    for layout in layouts[::20]:
        asked = ask(layout)
        drawn = draw_questions(layout, 4, np.random.default_rng(1))
        assert len(drawn) == min(4, len(asked))
        assert all(question in asked for question in drawn)
        assert not any(a == b for a, b in combinations(drawn, 2))
        assert drawn == draw_questions(layout, 4, np.random.default_rng(1))


def test_minimal_pairs_ask_the_same_and_change_one_thing(layouts: list[Layout]) -> None:
    rng = np.random.default_rng(2)
    met: set[tuple[str, str]] = set()
    for layout in layouts[::5]:
        for asked in draw_questions(layout, 2, rng):
            for pair in minimal_pairs(layout, asked, rng):
                met.add((asked.kind, pair.change))
                assert pair.asked_again.question == asked.question
                assert pair.answer_changes == (pair.change != "add")
                assert (pair.layout, pair.asked) == (layout, asked)
                assert pair.changed.seed == layout.seed
                kept = set(layout.things) & set(pair.changed.things)
                lost = len(layout.things) - len(kept)
                limit = {"mirror": 6, "move": 4, "exchange": 6, "repaint": 1, "minus": 1}
                assert lost <= limit.get(pair.change, 0)
                if pair.change == "add":
                    render(pair.changed)
    assert {change for _, change in met} == {
        "mirror", "move", "exchange", "repaint", "add", "plus", "minus",
    }  # fmt: skip
    assert {kind for kind, _ in met} == set(FORMS)
    assert {("adjacent", "mirror"), ("chain", "exchange"), ("count", "plus")} <= met


def test_mirroring_twice_changes_nothing(layouts: list[Layout]) -> None:
    for layout in layouts[::25]:
        assert mirror(mirror(layout)) == layout
        assert mirror(layout) != layout


def test_changes_that_cannot_be_made_are_refused() -> None:
    full = next(x for i in range(99) if len((x := arrange("rows", 1, i)).things) == MOST)
    with pytest.raises(DataError, match="6 things at most"):
        add_thing(full, "dog", np.random.default_rng(0))
    with pytest.raises(DataError, match="paint 'beige' is unknown"):
        repaint_thing(full, 0, "beige")
    assert len(remove_thing(full, 2).things) == MOST - 1
