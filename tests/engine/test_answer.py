"""Laws of answering several prompts at once: as each alone, and shared wherever it can be."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import pytest
import torch

from retinoscope.engine import Recording, answer, evaluate, generate, record
from retinoscope.engine.replay.prefix import prefix_states, shared_length
from retinoscope.errors import InterventionError
from retinoscope.interventions import Ablate, Condition, Knockout
from retinoscope.models import Checkpoint, Encoded
from retinoscope.tokens import TokenLayout
from tests.engine import families
from tests.engine.conditions import conditions

MAX_NEW_TOKENS = 5
READING_AHEAD = {"paligemma", "paligemma2"}
NO_ATTENTION_EVERYWHERE = {"lfm2_vl", "qwen3_5"}
ELSEWHERE = {"mllama", "florence2", "gemma3n_text", "gemma4"}
ALONE = READING_AHEAD | NO_ATTENTION_EVERYWHERE | ELSEWHERE


def asked_otherwise(encoded: Encoded, by: int) -> Encoded:
    """The same prompt with other words at its end."""
    ids = encoded.inputs["input_ids"].clone()
    ids[:, -2:] = 20 + by + torch.arange(2)
    return replace(encoded, inputs={**encoded.inputs, "input_ids": ids})


def prompts(checkpoint: Checkpoint, encoded: Encoded) -> list[Recording]:
    """One prompt that is answered by a text, two without."""
    return [
        record(checkpoint, encoded, max_new_tokens=MAX_NEW_TOKENS),
        record(checkpoint, asked_otherwise(encoded, 0)),
        record(checkpoint, asked_otherwise(encoded, 7)),
    ]


@pytest.mark.parametrize("name", families.BUILDERS)
def test_answers_are_those_of_each_prompt_alone(name: str) -> None:
    recordings = prompts(*families.build(name))
    assert (shared_length(recordings) == 0) == (name in ALONE)
    kinds = conditions(recordings[0])
    many: list[Condition] = [(), *kinds["ablation"], *kinds["last position"][:1], *kinds["mixed"]]
    asked = [(recordings[0], many), (recordings[1], many[::2]), (recordings[2], many)]
    found = answer(asked)
    for (recording, some), response in zip(asked, found, strict=True):
        expected = evaluate(recording, some).logits
        scale = max(1.0, float(expected.abs().max()))
        assert float((response.outcome.logits - expected).abs().max()) / scale <= 1e-5
        if recording.fallback is None:
            assert torch.equal(response.outcome.logits[0], recording.logits.float())
        texts = generate(recording, some) if recording.max_new_tokens else []
        assert [one.tokens for one in response.generations] == [one.tokens for one in texts]
        for one, text in zip(response.generations, texts, strict=True):
            assert one.probabilities == pytest.approx(text.probabilities, abs=1e-5)


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    return prompts(*families.build("llava"))


@pytest.fixture(scope="module")
def ablations(recordings: list[Recording]) -> list[Condition]:
    seen = recordings[0].encoded.layout.visual
    return [(Ablate(seen[i : i + 2], "zero"),) for i in range(len(seen) - 1)]


def test_a_condition_is_grown_once_for_all_prompts(
    recordings: list[Recording], ablations: list[Condition], monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed_prefixes: list[int] = []

    def counting(recording, sites, end):
        replayed_prefixes.append(len(sites))
        return prefix_states(recording, sites, end)

    module = import_module("retinoscope.engine.answer")
    monkeypatch.setattr(module, "prefix_states", counting)
    answer([(recording, [*ablations, ablations[0]]) for recording in recordings])
    assert sum(replayed_prefixes) == len(ablations)


def test_little_memory_changes_nothing(
    recordings: list[Recording], ablations: list[Condition]
) -> None:
    asked = [(recording, ablations) for recording in recordings]
    for whole, bit in zip(answer(asked), answer(asked, memory=1), strict=True):
        torch.testing.assert_close(whole.outcome.logits, bit.outcome.logits, atol=1e-5, rtol=1e-5)
        assert [g.tokens for g in whole.generations] == [g.tokens for g in bit.generations]


def test_a_text_that_is_stopped_is_the_beginning_of_the_whole(
    recordings: list[Recording], ablations: list[Condition]
) -> None:
    def stop(tokens: list[int]) -> bool:
        return len(tokens) >= 2 and tokens[-1] % 2 == 0

    behind = Knockout([recordings[0].length - 1], [0], [1])
    conditions: list[Condition] = [(), *ablations[:3], (behind,)]
    asked = [(recordings[0], conditions), (recordings[1], [()])]
    whole, stopped = answer(asked)[0], answer(asked, stop=stop)[0]
    alone = generate(recordings[0], conditions, stop=stop)
    assert [g.tokens for g in stopped.generations] == [g.tokens for g in alone]
    for long, short in zip(whole.generations, stopped.generations, strict=True):
        count = next(
            (n for n in range(MAX_NEW_TOKENS) if stop([*long.tokens[:n]])), len(long.tokens)
        )
        assert short.tokens == long.tokens[:count]
        assert short.ended == (long.ended and count == len(long.tokens))


def test_another_image_is_not_shared(recordings: list[Recording]) -> None:
    checkpoint, encoded = recordings[0].checkpoint, recordings[0].encoded
    pixels = {k: v + 1 if v.is_floating_point() else v for k, v in encoded.inputs.items()}
    other = record(checkpoint, replace(encoded, inputs=pixels))
    assert shared_length([recordings[0], other]) == 0


def test_texts_that_begin_otherwise_share_nothing(recordings: list[Recording]) -> None:
    checkpoint = recordings[0].checkpoint
    blind = [
        record(checkpoint, Encoded({"input_ids": torch.tensor([ids])}, TokenLayout(3, ()), ""))
        for ids in ([5, 6, 7], [8, 6, 7])
    ]
    assert shared_length(blind) == 0
    for recording, response in zip(blind, answer([(one, [()]) for one in blind]), strict=True):
        assert torch.equal(response.outcome.logits[0], recording.logits.float())


def test_bad_conditions_are_refused_as_ever(recordings: list[Recording]) -> None:
    far = Knockout([recordings[0].length], [2], [0])
    with pytest.raises(InterventionError, match="positions"):
        answer([(recordings[0], [(far,)])])
    with pytest.raises(InterventionError, match="empty"):
        answer([(recordings[0], [(Ablate([], "zero"),)])])


def test_nothing_is_asked(recordings: list[Recording]) -> None:
    assert answer([]) == []
    (response,) = answer([(recordings[1], [])])
    assert response.outcome.logits.shape == (0, recordings[1].logits.shape[-1])
    assert response.generations == ()
