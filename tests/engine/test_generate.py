"""Laws of generating under conditions."""

from __future__ import annotations

import pytest
import torch

from retinoscope.engine import Recording, evaluate, generate, record
from retinoscope.engine.edits.full import full_logits
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition, resolve
from tests.engine import families
from tests.engine.conditions import conditions

MAX_NEW_TOKENS = 8


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(*families.build("llava"), max_new_tokens=MAX_NEW_TOKENS)


@pytest.fixture(scope="module")
def given(recording: Recording) -> list[Condition]:
    return [(), *(one for kind in conditions(recording).values() for one in kind)]


def test_together_is_one_by_one(recording: Recording, given: list[Condition]) -> None:
    together = generate(recording, given)
    alone = [generate(recording, [one])[0] for one in given]
    for answers in (alone, generate(recording, given, memory=1)):
        for one, other in zip(together, answers, strict=True):
            assert one.tokens == other.tokens
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert len({one.tokens for one in together}) > 3


def test_each_token_is_the_full_forwards_choice(
    recording: Recording, given: list[Condition]
) -> None:
    for one, answer in zip(given, generate(recording, given), strict=True):
        sites = resolve(one, recording)
        for step, (token, sure) in enumerate(zip(answer.tokens, answer.probabilities, strict=True)):
            logits = full_logits(recording, sites, tokens=answer.tokens[:step])[0]
            assert int(logits.argmax()) == token
            assert float(logits.softmax(-1)[token]) == pytest.approx(sure, abs=1e-5)


def test_the_first_token_is_evaluates(recording: Recording, given: list[Condition]) -> None:
    logits = evaluate(recording, given).logits
    for row, answer in zip(logits, generate(recording, given, max_new_tokens=1), strict=True):
        assert answer.tokens == (int(row.argmax()),)
        assert not answer.ended


def test_it_stops_when_told(recording: Recording, given: list[Condition]) -> None:
    whole = generate(recording, given)
    asked: list[list[int]] = []

    def stop(tokens: list[int]) -> bool:
        asked.append(tokens)
        return len(tokens) == 3 or tokens[-1] == whole[1].tokens[1]

    for answer, full in zip(generate(recording, given, stop=stop), whole, strict=True):
        assert answer.tokens == full.tokens[: len(answer.tokens)]
        assert len(answer.tokens) <= 3
        assert len(answer.tokens) == 3 or whole[1].tokens[1] in answer.tokens
    assert max(map(len, asked)) == 3


def test_the_end_of_text_ends_an_answer(recording: Recording, given: list[Condition]) -> None:
    answers = [answer.tokens for answer in generate(recording, given)]
    index = next(i for i, tokens in enumerate(answers) if len(set(tokens)) > 1)
    one, whole = given[index], answers[index]
    at = next(i for i, token in enumerate(whole) if i and token not in whole[:i])
    config = recording.checkpoint.model.generation_config
    before = config.eos_token_id
    config.eos_token_id = [whole[at], 2]
    try:
        answer = generate(recording, [one])[0]
    finally:
        config.eos_token_id = before
    assert answer.ended
    assert answer.tokens == whole[:at]


@pytest.mark.parametrize("length", [0, MAX_NEW_TOKENS + 1])
def test_there_must_be_room(recording: Recording, length: int) -> None:
    with pytest.raises(InterventionError, match="max_new_tokens"):
        generate(recording, [()], max_new_tokens=length)


def test_nothing_is_generated_for_no_condition(recording: Recording) -> None:
    assert generate(recording, []) == []
    assert torch.equal(evaluate(recording, [()]).logits[0], recording.logits)
