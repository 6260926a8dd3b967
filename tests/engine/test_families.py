"""Every family: all conditions equal the plain full forward with eager attention and hooks."""

from __future__ import annotations

import pytest
import torch

from retinoscope.engine import evaluate, generate, record
from retinoscope.interventions import Condition, Edge, resolve
from retinoscope.models import Checkpoint, Encoded
from tests.engine import families
from tests.engine.conditions import Cut, conditions
from tests.engine.oracle import oracle, oracle_generate

FALLING_BACK = {"florence2": "encoder-decoder", "gemma3n_text": "4 dimensions"}
GENERATION_FALLING_BACK = {"gemma4": "a generated token differs"}
"""Each layer of Gemma 4 reads the tokens, not only the first."""
REPLAYED = [name for name in families.BUILDERS if name not in FALLING_BACK]


@pytest.mark.parametrize("name", families.BUILDERS)
def test_a_family_is_the_same_at_every_call(name: str) -> None:
    """What compares two precisions builds the model twice."""
    one, other = (families.build(name) for _ in range(2))
    weights, same = one[0].model.state_dict(), other[0].model.state_dict()
    assert all(torch.equal(weights[key], same[key]) for key in weights)
    assert all(torch.equal(value, other[1].inputs[key]) for key, value in one[1].inputs.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", families.BUILDERS)
def test_conditions_equal_the_plain_way(name: str, dtype: torch.dtype) -> None:
    """With the same weights in the same precision.

    Half precision allows a fiftieth of the logits' spread, and the next token may be another
    where the first two are closer than that. There the model is recorded with eager attention, as
    the oracle runs it: SDPA alone moves Qwen 3.5's logits by 9 % where a visual token is zero,
    since a norm blows up the rounding of what its first layer makes of nothing.
    """
    checkpoint, encoded = families.build(name, dtype)
    if dtype != torch.float32:
        checkpoint.model.set_attn_implementation("eager")
    recording = record(checkpoint, encoded)
    reason = FALLING_BACK.get(name)
    if reason is None:
        assert recording.fallback is None
    else:
        assert reason in (recording.fallback or "")
    close = 1e-5 if dtype == torch.float32 else 2e-2
    for kind, given in conditions(recording).items():
        outcome = evaluate(recording, given)
        for one, found, margin in zip(given, outcome.logits, outcome.margin, strict=True):
            expected = oracle(checkpoint, encoded, resolve(one, recording))[-1]
            # Logits well over 1 carry rounding in proportion.
            scale = max(1.0, float((expected - expected.mean()).abs().max()))
            error = float((found - expected).abs().max()) / scale
            assert error <= close, (kind, error)
            sure = dtype == torch.float32 or float(margin) > 2 * close * scale
            assert found.argmax() == expected.argmax() or not sure, kind
            moved = float((expected - recording.logits).abs().max())
            assert moved > 1e-3, f"{kind} changes nothing, so it proves nothing"


@pytest.mark.parametrize("name", [*REPLAYED, "gemma3n_text"])
def test_generation_equals_the_models_own(name: str) -> None:
    checkpoint, encoded = families.build(name)
    recording = record(checkpoint, encoded, max_new_tokens=8)
    if name in REPLAYED:
        assert recording.fallback is None
        reason = GENERATION_FALLING_BACK.get(name)
        assert (recording.generation_fallback is None) == (reason is None)
        assert reason is None or reason in (recording.generation_fallback or "")
    kinds = conditions(recording)
    given: list[Condition] = [(), *kinds["last position"][-2:], *kinds["ablation"], *kinds["mixed"]]
    found = [list(one.tokens) for one in generate(recording, given)]
    expected = [plain(checkpoint, encoded, recording, one) for one in given]
    assert found == expected
    assert len({tuple(tokens) for tokens in found}) > 1


def plain(checkpoint: Checkpoint, encoded: Encoded, recording: object, one: Condition) -> list[int]:
    """The model's own greedy tokens up to the end of text."""
    tokens = oracle_generate(checkpoint, encoded, resolve(one, recording), 8)
    return tokens[: tokens.index(2)] if 2 in tokens else tokens


def test_image_states_can_be_cut_in_cross_attention() -> None:
    checkpoint, encoded = families.build("mllama")
    recording = record(checkpoint, encoded)
    states = recording.layers[1].allowed.shape[1]
    last = recording.length - 1
    given = [
        (Cut((Edge(layer, (last - 2, last), tuple(range(at, states, 2)), heads),)),)
        for layer in (1, 3)
        for at in (0, 1)
        for heads in (None, (1, 2))
    ]
    found = evaluate(recording, given).logits
    expected = torch.stack(
        [oracle(checkpoint, encoded, resolve(one, recording))[-1] for one in given]
    )
    assert torch.allclose(found, expected, atol=1e-5)
    assert float((expected - recording.logits).abs().amax(-1).min()) > 1e-4
