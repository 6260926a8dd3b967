"""The self-check is tested itself: every fault that is planted in the engine must be caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from retinoscope.engine import Recording, evaluate, generate, record
from retinoscope.engine.edits.full import full_logits
from retinoscope.engine.recording import replayable
from retinoscope.engine.recording.agreement import disagreement, gap
from retinoscope.engine.recording.layer import RecordedLayer, SelfAttention
from retinoscope.engine.recording.vocabulary import TokenInput
from retinoscope.engine.replay import decoding, sharing, suffix
from retinoscope.engine.replay import replay as replaying
from retinoscope.engine.replay.batch_rows import forked
from retinoscope.engine.replay.decoding import Decoding
from retinoscope.engine.replay.passes import groups
from retinoscope.engine.self_check import random_conditions
from retinoscope.interventions import Ablate, Condition, resolve
from retinoscope.models import Encoded
from retinoscope.tokens import TokenLayout
from tests.engine import families
from tests.engine.oracle import oracle, oracle_generate

MAX_NEW_TOKENS = 6
Plant = Callable[[pytest.MonkeyPatch], None]
FAULTS: dict[str, tuple[str, Plant]] = {}
"""By name: a family, and what puts the fault into the engine."""


def fault(family: str = "llava") -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        FAULTS[plant.__name__] = (family, plant)
        return plant

    return register


def _attending(patch: pytest.MonkeyPatch, change: Callable[..., tuple[Any, ...]]) -> None:
    """Attention gets other arguments, in replay and in decoding."""
    plain = sharing.attend

    def attend(*given: Any) -> Any:
        return plain(*change(*given))

    for module in (sharing, decoding):
        patch.setattr(module, "attend", attend)


@fault()
def mask_that_lets_all_be_read(patch: pytest.MonkeyPatch) -> None:
    _attending(patch, lambda c, prefix, own, allowed: (c, prefix, own, torch.ones_like(allowed)))


@fault("gemma3")
def sliding_window_forgotten(patch: pytest.MonkeyPatch) -> None:
    def widened(call: Any, prefix: Any, own: Any, allowed: Tensor) -> tuple[Any, ...]:
        queries, keys = allowed.shape[-2:]
        return call, prefix, own, torch.ones_like(allowed).tril(keys - queries)

    _attending(patch, widened)


@fault()
def mask_of_the_position_before(patch: pytest.MonkeyPatch) -> None:
    def shifted(call: Any, prefix: Any, own: Any, allowed: Tensor) -> tuple[Any, ...]:
        moved = allowed.roll(-1, -1)
        moved[..., 0] = True
        return call, prefix, own, moved

    _attending(patch, shifted)


@fault()
def knockouts_not_carried_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suffix, "removed_edges", lambda *_: None)


@fault()
def knockouts_forgotten_in_generation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Decoding, "_follow", lambda *_: None)


@fault()
def knockouts_of_every_head(patch: pytest.MonkeyPatch) -> None:
    _other_heads(patch, lambda mask: mask.any(1, keepdim=True))


@fault()
def knockouts_of_another_head(patch: pytest.MonkeyPatch) -> None:
    _other_heads(patch, lambda mask: mask.roll(1, 1))


@fault()
def one_head_dropped(patch: pytest.MonkeyPatch) -> None:
    def dropped(mask: Tensor) -> Tensor:
        mask = mask.clone()
        mask[:, -1] = False
        return mask if mask.shape[1] > 1 else ~mask

    _other_heads(patch, dropped)


def _other_heads(patch: pytest.MonkeyPatch, change: Callable[[Tensor], Tensor]) -> None:
    plain = suffix.removed_edges

    def removed(*given: Any) -> Tensor | None:
        mask = plain(*given)
        return mask if mask is None or mask.shape[1] == 1 else change(mask)

    patch.setattr(suffix, "removed_edges", removed)


@fault()
def a_head_of_the_output_lost(patch: pytest.MonkeyPatch) -> None:
    plain = sharing.attend

    def attend(*given: Any) -> Any:
        output, weights = plain(*given)
        output = output.clone()
        output[:, :, -1] = 0
        return output, weights

    for module in (sharing, decoding):
        patch.setattr(module, "attend", attend)


@fault()
def positions_off_by_one(patch: pytest.MonkeyPatch) -> None:
    _positions(patch, generated=False)


@fault()
def generated_positions_off_by_one(patch: pytest.MonkeyPatch) -> None:
    _positions(patch, generated=True)


@fault("qwen2_vl")
def generated_positions_of_several_axes_off_by_one(patch: pytest.MonkeyPatch) -> None:
    _positions(patch, generated=True)


def _positions(patch: pytest.MonkeyPatch, generated: bool) -> None:
    def shifted(_: Any, layer: RecordedLayer, hidden: Tensor, at: Tensor, before: Tensor) -> Tensor:
        behind = int(at[0]) >= len(layer.allowed) - MAX_NEW_TOKENS
        return layer(hidden, (at - 1).clamp_min(0) if behind == generated else at)

    patch.setattr(SelfAttention, "step", shifted)


@fault()
def generated_tokens_never_cached(patch: pytest.MonkeyPatch) -> None:
    def stale(call: Any, prefix: Any, own: Any, allowed: Tensor) -> tuple[Any, ...]:
        fed = allowed.shape[-1] - call.query.shape[2] - prefix[0].shape[2]
        for store in own:
            if call.query.shape[2] == 1 and fed > 1:
                store[:, :, fed - 1] = store[:, :, 0]
        return call, prefix, own, allowed

    def attend(*given: Any) -> Any:
        return sharing.attend(*stale(*given))

    patch.setattr(decoding, "attend", attend)


@fault()
def cache_of_other_rows_kept(patch: pytest.MonkeyPatch) -> None:
    def keep(self: Decoding, rows: list[int]) -> None:
        self.logits = self.logits[rows]
        for store in (self.keys, self.values, self.inputs, self.removed):
            for layer, value in store.items():
                store[layer] = value[: len(rows)]

    patch.setattr(Decoding, "keep", keep)


@fault()
def clean_cache_under_a_condition(patch: pytest.MonkeyPatch) -> None:
    plain = Decoding._prefill

    def prefill(self: Decoding, *given: Any) -> None:
        before = {layer: keys.clone() for layer, keys in self.keys.items()}
        plain(self, *given)
        self.keys = before

    patch.setattr(Decoding, "_prefill", prefill)


@fault()
def the_filler_fed_for_every_token(patch: pytest.MonkeyPatch) -> None:
    plain, filler = TokenInput.at, families.AFTER[-1]

    def at(self: TokenInput, tokens: Tensor, *others: Any) -> Tensor:
        return plain(self, torch.full_like(tokens, filler), *others)

    patch.setattr(TokenInput, "at", at)


@fault("blip2")
def the_place_of_a_token_left_out(patch: pytest.MonkeyPatch) -> None:
    plain = TokenInput.at
    patch.setattr(TokenInput, "at", lambda self, *given: plain(replace(self, offset=None), *given))


@fault()
def rows_of_other_conditions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replaying, "forked", lambda *given: forked(*given).flip(0))


@fault()
def every_write_in_the_first_row(patch: pytest.MonkeyPatch) -> None:
    plain = replaying.apply

    def written(hidden: Tensor, conditions: Any, *others: Any) -> Tensor:
        whole = plain(hidden, conditions, *others)
        return whole if len(whole) < 2 else torch.cat([whole[:1], hidden[1:]])

    patch.setattr(replaying, "apply", written)


@fault()
def writes_added_twice(patch: pytest.MonkeyPatch) -> None:
    plain = replaying.apply
    patch.setattr(replaying, "apply", lambda h, *given: 2 * plain(h, *given) - h)


@fault()
def a_pass_of_several_rows_differs(patch: pytest.MonkeyPatch) -> None:
    """As layers that are told something of each position, for one row."""
    plain = RecordedLayer.__call__

    def call(layer: RecordedLayer, hidden: Tensor, at: Tensor) -> Tensor:
        return plain(layer, hidden, at)[:1].expand(len(hidden), -1, -1)

    patch.setattr(RecordedLayer, "__call__", call)


@fault("qwen3_vl")
def additions_between_layers_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Recording, "additions", {})


@fault("lfm2_vl")
def left_context_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replayable, "reach_back", lambda *_: 0)


@fault("lfm2_vl")
def left_context_of_the_clean_run(patch: pytest.MonkeyPatch) -> None:
    plain = Decoding._through

    def through(self: Decoding, layer: int, hidden: Tensor) -> Tensor:
        before = self.inputs.get(layer)
        output = plain(self, layer, hidden)
        if before is not None:
            self.inputs[layer] = before
        return output

    patch.setattr(Decoding, "_through", through)


@fault()
def final_norm_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Recording, "unembed", lambda self, hidden: self.checkpoint.parts.head(hidden))


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
