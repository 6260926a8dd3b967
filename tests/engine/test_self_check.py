"""The self-check is tested itself: every fault that is planted in the engine must be caught."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from retinoscope.engine import evaluate, generate, record
from retinoscope.engine.edits.full import full_logits
from retinoscope.engine.recording.agreement import disagreement, gap
from retinoscope.engine.replay.passes import groups
from retinoscope.engine.self_check import random_conditions
from retinoscope.interventions import Ablate, Condition, resolve
from retinoscope.models import Encoded
from retinoscope.tokens import TokenLayout
from tests.engine import families
from tests.engine.oracle import oracle, oracle_generate
from tests.engine.planted_faults import FAULTS, MAX_NEW_TOKENS


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    family, plant = FAULTS[name]
    checkpoint, encoded = families.build(family, dtype)
    with monkeypatch.context() as patch:
        plant(patch)
        faulty = record(checkpoint, encoded, max_new_tokens=MAX_NEW_TOKENS)
    assert faulty.fallback or faulty.generation_fallback


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", sorted({family for family, _ in FAULTS.values()}))
def test_without_a_fault_nothing_is_caught(family: str, dtype: torch.dtype) -> None:
    sound = record(*families.build(family, dtype), max_new_tokens=MAX_NEW_TOKENS)
    assert sound.fallback is None
    assert sound.generation_fallback is None


@pytest.mark.parametrize("name", ["llava", "gemma3", "mllama"])
def test_conditions_of_the_check_run_together_and_over_several_lengths(name: str) -> None:
    recording = record(*families.build(name))
    sites = random_conditions(recording)
    members = [found for _, found in groups(sites, recording)]
    assert sum(map(len, members)) == len(sites) == 6
    assert max(map(len, members)) >= 2
    clean = recording.logits
    moved = [float((full_logits(recording, one)[0] - clean).abs().max()) for one in sites]
    assert min(moved) > 1e-2, "a condition that changes nothing proves nothing"


def test_tokens_of_the_check_are_not_the_filler() -> None:
    """Gemma 4 tells every layer the token, so that replay is right for the filler alone."""
    checkpoint, encoded = families.build("gemma4_text")
    recording = record(checkpoint, encoded, max_new_tokens=MAX_NEW_TOKENS)
    assert recording.fallback is None
    assert "generated token" in (recording.generation_fallback or "")
    given: list[Condition] = [(), (Ablate([9], "zero"),), (Ablate([3, 4], "zero"),)]
    expected = [oracle_generate(checkpoint, encoded, resolve(one, recording), 6) for one in given]
    assert [list(one.tokens) for one in generate(recording, given)] == expected


def test_what_is_told_of_each_position_is_told_in_each_row() -> None:
    recording = record(*families.build("ernie_moe_text"), max_new_tokens=MAX_NEW_TOKENS)
    assert recording.fallback is None
    assert recording.generation_fallback is None
    given: list[Condition] = [(Ablate([at], "zero"),) for at in (8, 9, 12)]
    found = evaluate(recording, given).logits
    for one, logits in zip(given, found, strict=True):
        expected = oracle(recording.checkpoint, recording.encoded, resolve(one, recording))[-1]
        assert torch.allclose(logits, expected, atol=1e-5)


def test_masked_logits_do_not_set_the_scale() -> None:
    checkpoint, encoded = families.build("chameleon_text")
    recording = record(checkpoint, encoded)
    assert recording.fallback is None
    lowest = torch.finfo(torch.float32).min
    assert int((recording.logits == lowest).sum()) == 8
    one: Condition = (Ablate([9], "zero"),)
    found = evaluate(recording, [one]).logits[0]
    expected = oracle(checkpoint, encoded, resolve(one, recording))[-1]
    assert torch.equal(found == lowest, expected == lowest)
    assert gap(found, expected) < 1e-5

    def louder(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        return output * 1.5 if output.shape[1] < recording.length else output

    checkpoint.parts.layers[1].mlp.register_forward_hook(louder)
    assert "other logits" in (record(checkpoint, encoded).fallback or "")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_gap_is_a_share_of_the_spread(dtype: torch.dtype) -> None:
    wanted = torch.linspace(-8, 8, 33).to(dtype)
    found = wanted.clone()
    found[3] += 4
    assert gap(found, wanted) == pytest.approx(0.5)
    assert gap(found + 100, wanted + 100) == pytest.approx(0.5, rel=0.1)
    for masked in (torch.finfo(dtype).min, -torch.inf):
        one, other = found.clone(), wanted.clone()
        one[7] = other[7] = masked
        assert gap(one, other) == pytest.approx(0.5, abs=0.02)
        assert gap(found, other) == torch.inf
        assert disagreement(one, other) is not None
        assert disagreement(other, other) is None
    assert disagreement(torch.full_like(wanted, torch.nan), wanted) is not None


def test_a_longer_prompt_is_checked_again() -> None:
    """As with sliding windows: short prompts go well, long ones don't."""
    checkpoint, short = families.build("gpt_oss_text")
    ids = torch.cat([short.inputs["input_ids"]] * 2, 1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    long = Encoded(inputs, TokenLayout(ids.shape[1], ()), "")
    whole = {short.layout.length, long.layout.length, 4}
    longest = 0

    def lost(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        nonlocal longest
        longest = max(longest, output.shape[1])
        wrong = longest == long.layout.length and output.shape[1] not in whole
        return output * 0.5 if wrong else output

    checkpoint.parts.layers[1].post_attention_layernorm.register_forward_hook(lost)
    assert record(checkpoint, short).fallback is None
    assert "random condition" in (record(checkpoint, long).fallback or "")
    assert record(checkpoint, short).fallback is not None, (
        "a model that failed is not trusted again"
    )
