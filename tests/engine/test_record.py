"""Laws of recording: the model is left as it was, and what is not exact is not replayed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from retinoscope.engine import Unreplayable, capture, evaluate, generate, record
from retinoscope.engine.recording import captured
from retinoscope.errors import ModelError
from retinoscope.interventions import Ablate, Condition, Knockout, resolve
from retinoscope.models import Checkpoint, Encoded
from retinoscope.tokens import TokenLayout
from tests.engine import families
from tests.engine.conditions import conditions
from tests.engine.oracle import oracle


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def back_ends(model: nn.Module) -> set[str]:
    configs = [m.config for m in model.modules() if hasattr(m, "config")]
    return {str(getattr(config, "_attn_implementation", None)) for config in configs}


def check(checkpoint: Checkpoint, encoded: Encoded) -> str | None:
    """Every condition equals the oracle; why the recording falls back, if it does."""
    recording = record(checkpoint, encoded)
    for one in [one for kind in conditions(recording).values() for one in kind]:
        found = evaluate(recording, [one]).logits[0]
        expected = oracle(checkpoint, encoded, resolve(one, recording))[-1]
        assert torch.allclose(found, expected, atol=1e-5)
    return recording.fallback


def test_the_model_is_left_as_it_was() -> None:
    checkpoint, encoded = families.build("llava")
    model = checkpoint.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    back_end = back_ends(model)
    with torch.no_grad():
        plain = model(**encoded.inputs).logits
    hooks = hooks_of(model)  # transformers leaves some of its own in the vision tower
    recording = record(checkpoint, encoded, max_new_tokens=3)
    evaluate(recording, [(Ablate([5], "zero"),)])
    generate(recording, [(Ablate([5], "zero"),)])
    assert hooks_of(model) == hooks
    assert back_ends(model) == back_end
    with torch.no_grad():
        assert torch.equal(model(**encoded.inputs).logits, plain)
    assert torch.equal(plain[0, -1], recording.logits)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_an_exception_leaves_nothing_behind() -> None:
    checkpoint, encoded = families.build("llava")
    recording = record(checkpoint, encoded)
    model, back_end = checkpoint.model, back_ends(checkpoint.model)
    hooks = hooks_of(model)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    hook = checkpoint.parts.layers[2].mlp.register_forward_hook(fail)
    for run in (
        lambda: record(checkpoint, encoded),
        lambda: evaluate(recording, [(Ablate([5], "zero"),)]),
    ):
        with pytest.raises(KeyboardInterrupt):
            run()
    hook.remove()
    assert hooks_of(model) == hooks
    assert back_ends(model) == back_end
    assert check(checkpoint, encoded) is None


def test_hooks_of_others_stay_in_force() -> None:
    checkpoint, encoded = families.build("llava")
    plain = record(checkpoint, encoded).logits
    hooks = hooks_of(checkpoint.model)

    def double(_: nn.Module, args: tuple) -> tuple:
        return (args[0] * 1.5, *args[1:])

    def shift(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        return output + 0.1

    checkpoint.parts.layers[1].register_forward_pre_hook(double)
    checkpoint.parts.layers[2].register_forward_hook(shift)
    checkpoint.parts.layers[3].mlp.register_forward_hook(shift)
    assert check(checkpoint, encoded) is None
    assert not torch.allclose(record(checkpoint, encoded).logits, plain)
    assert hooks_of(checkpoint.model) == hooks + 3


def test_a_layer_that_counts_positions_is_not_replayed() -> None:
    checkpoint, encoded = families.build("llava")

    def by_length(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        return output * (1 + 0.01 * output.shape[1])

    checkpoint.parts.layers[1].mlp.register_forward_hook(by_length)
    assert "other logits" in (check(checkpoint, encoded) or "")


def test_a_model_that_fails_only_in_the_middle_is_not_replayed() -> None:
    """An empty condition can't see it; a random one does."""
    checkpoint, encoded = families.build("llava")
    length = encoded.layout.length

    def lost(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        return output if output.shape[1] in (4, length) else output * 0.5

    checkpoint.parts.layers[1].mlp.register_forward_hook(lost)
    assert "random condition" in (check(checkpoint, encoded) or "")


def test_falling_back_generates_the_same() -> None:
    checkpoint, encoded = families.build("llava")
    recording = record(checkpoint, encoded, max_new_tokens=5)
    given: list[Condition] = [(), (Ablate([6, 7], "zero"),)]
    given.append((Knockout([recording.length - 1], [5, 6], [1, 2]),))
    forced = replace(recording, replay=Unreplayable("said so"))
    assert [g.tokens for g in generate(forced, given)] == [
        g.tokens for g in generate(recording, given)
    ]


def test_two_recordings_do_not_disturb_each_other() -> None:
    checkpoint, encoded = families.build("llava")
    ids = encoded.inputs["input_ids"].clone()
    ids[0, -3] = 99
    other = Encoded({**encoded.inputs, "input_ids": ids}, encoded.layout, "")
    one: list[Condition] = [(Ablate([5], "zero"),)]
    first = record(checkpoint, encoded)
    alone = evaluate(first, one).logits
    second = record(checkpoint, other)
    apart = evaluate(second, one).logits
    assert torch.equal(evaluate(first, one).logits, alone)
    assert torch.equal(evaluate(second, one).logits, apart)
    assert not torch.allclose(alone, apart)


@pytest.mark.parametrize("name", families.BUILDERS)
def test_room_changes_nothing_in_the_prompt(name: str) -> None:
    checkpoint, encoded = families.build(name)
    plain, roomy = record(checkpoint, encoded), record(checkpoint, encoded, max_new_tokens=5)
    assert torch.allclose(plain.logits, roomy.logits, atol=1e-5)
    for one, other in zip(plain.stream, roomy.stream, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_layout_of_another_length_is_refused() -> None:
    checkpoint, encoded = families.build("llava")
    wrong = Encoded(encoded.inputs, TokenLayout(7, ()), "")
    with pytest.raises(ModelError, match="positions"):
        record(checkpoint, wrong)


def test_a_batch_of_prompts_is_refused() -> None:
    checkpoint, encoded = families.build("llava")
    twice = {name: torch.cat([value, value]) for name, value in encoded.inputs.items()}
    with pytest.raises(ModelError, match=r"one prompt.*input_ids of shape \[2, 26\]"):
        record(checkpoint, replace(encoded, inputs=twice))
    blind = {name: value for name, value in encoded.inputs.items() if name != "input_ids"}
    with pytest.raises(ModelError, match="no input_ids"):
        record(checkpoint, replace(encoded, inputs=blind))


def test_every_layer_sees_the_whole_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for its last logits by number, Gemma 4 runs later layers on the last position alone."""
    checkpoint, encoded = families.build("gemma4")
    recording = record(checkpoint, encoded)
    assert {len(state) for state in recording.stream} == {recording.length}
    assert [one.mixing.owner for one in recording.layers] == [None, None, None, None, 2, 3]
    with torch.no_grad():
        plain = checkpoint.model(**encoded.inputs).logits[0, -1]
    assert torch.allclose(plain, recording.logits, atol=1e-5)
    by_number = {"logits_to_keep": 1}
    monkeypatch.setattr(captured, "keeping", lambda *_: by_number)
    with pytest.raises(ModelError, match=r"layer 4 .* saw 1 positions"):
        record(checkpoint, encoded)


def test_memory_is_stated() -> None:
    recording = record(*families.build("llava"))
    stream = sum(state.numel() * 4 for state in recording.stream)
    kept = sum(2 * one.mixing.keys.numel() * 4 for one in recording.layers)
    assert stream + kept < recording.nbytes < 1.5 * (stream + kept)


def test_states_of_a_model_that_falls_back_are_not_unembedded() -> None:
    recording = record(*families.build("gemma3n_text"))
    with pytest.raises(ModelError, match="4 dimensions"):
        recording.unembed(recording.residual(2))


@pytest.mark.parametrize("name", ["florence2", "gemma3n_text"])
def test_a_recording_that_falls_back_still_answers_for_itself(name: str) -> None:
    recording = record(*families.build(name))
    assert recording.fallback is not None
    assert recording.causal
    assert recording.nbytes > 0
    assert f"full passes: {recording.fallback}" in repr(recording)
    (found,) = capture(recording, "resid_post.1").load().values()
    assert torch.equal(found, recording.stream[2])
