"""Teacher forcing equals full forward passes, and generation along the clean answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from retinoscope.engine import extended, forced, generate, record
from retinoscope.engine.edits.full import full_logits
from retinoscope.engine.edits.hooked import following
from retinoscope.errors import InterventionError, ModelError
from retinoscope.interventions import Ablate, Knockout
from tests.engine import families

ROOM = 4


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "gemma3", "florence2"])
def test_every_token_is_what_a_full_forward_gives_it(name: str) -> None:
    checkpoint, encoded = families.build(name)
    recording = record(checkpoint, encoded, max_new_tokens=ROOM)
    last, tokens = recording.length - 1, [5, 9, 7]
    conditions = [(), (Ablate([last - 2], "zero"),), (Knockout([last], [last - 3], [1]),)]
    found = forced(recording, conditions, tokens)
    for condition, row in zip(conditions, found, strict=True):
        edits = tuple(edit for one in condition for edit in one.edits(recording))
        for place, token in enumerate(tokens):
            logits = full_logits(recording, edits, tokens=tokens[:place])[-1]
            expected = float(logits.log_softmax(-1)[token])
            assert float(row[place]) == pytest.approx(expected, abs=1e-4), (condition, place)
    assert not torch.allclose(found[0], found[1], atol=1e-5)
    assert following((), last, 2) == ()


def test_along_the_clean_answer_it_is_what_generating_saw() -> None:
    recording = record(*families.build("llava"), max_new_tokens=ROOM)
    (clean,) = generate(recording, [()])
    (row,) = forced(recording, [()], clean.tokens)
    assert row.exp().tolist() == pytest.approx(clean.probabilities, abs=1e-5)
    assert forced(recording, [], clean.tokens).shape == (0, len(clean.tokens))


def test_a_small_batch_changes_nothing() -> None:
    recording = record(*families.build("llava"), max_new_tokens=ROOM)
    conditions = [(Ablate([at], "zero"),) for at in (5, 6, 7)]
    whole = forced(recording, conditions, [5, 9])
    torch.testing.assert_close(forced(recording, conditions, [5, 9], memory=1), whole)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "gemma3"])
def test_a_longer_prompt_predicts_what_follows_the_answer_so_far(name: str) -> None:
    recording = record(*families.build(name), max_new_tokens=ROOM)
    tokens = [5, 9, 7]
    (row,) = forced(recording, [()], tokens)
    longer = extended(recording, tokens[:2])
    assert longer.length == recording.length + 2
    assert longer.layout.visual == recording.layout.visual
    assert float(longer.logits.float().log_softmax(-1)[7]) == pytest.approx(float(row[2]), abs=1e-4)
    assert extended(recording, []) is recording


def test_what_cannot_be_forced_is_refused() -> None:
    recording = record(*families.build("llava"), max_new_tokens=1)
    with pytest.raises(InterventionError, match="max_new_tokens=2"):
        forced(recording, [()], [5, 6])
    for wrong in ([], [10_000], [-1]):
        with pytest.raises(InterventionError, match="token ids"):
            forced(recording, [()], wrong)
    apart = replace(
        recording, encoded=replace(recording.encoded, inputs={"decoder_input_ids": torch.zeros(1)})
    )
    with pytest.raises(ModelError, match="sequence of its own"):
        extended(apart, [5])
