"""Laws of capturing a run: the model computes what it computes alone, or it is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from retinoscope.engine import Recording, changed_stream, evaluate, generate, record
from retinoscope.engine.recording.attention import attending
from retinoscope.errors import InterventionError, ModelError
from retinoscope.interventions import Ablate, Condition, Edge
from retinoscope.models import Checkpoint, Encoded
from tests.engine import families
from tests.engine.conditions import Cut

CHOOSING = ["mistral_large4", "minimax_m3"]
"""Models that narrow their masks themselves, if they know the name of their back end."""


def alone(checkpoint: Checkpoint, encoded: Encoded) -> Tensor:
    with torch.no_grad():
        return checkpoint.model(**encoded.inputs, use_cache=False).logits[0]


def name_of(checkpoint: Checkpoint) -> Any:
    return checkpoint.parts.decoder.config._attn_implementation


EAGER_ONLY = {"gpt_oss_text", "paligemma2"}
EVERY = [*families.BUILDERS, *families.ODD]
BACK_ENDS = [(n, end) for n in EVERY for end in ("eager", "sdpa")[: 1 if n in EAGER_ONLY else 2]]


@pytest.mark.parametrize(("name", "back_end"), BACK_ENDS)
def test_a_captured_model_computes_the_same(name: str, back_end: str) -> None:
    checkpoint, encoded = families.build(name)
    checkpoint.model.set_attn_implementation(back_end)
    own, calls = alone(checkpoint, encoded), 0

    def count(call: Any) -> Any:
        nonlocal calls
        calls += 1
        return call.run()

    with attending(checkpoint.parts.decoder, count):
        assert name_of(checkpoint) == back_end
        assert name_of(checkpoint) in ("eager", "sdpa")
        captured = alone(checkpoint, encoded)
    assert calls
    assert torch.equal(captured, own)
    assert type(name_of(checkpoint)) is str
    assert name_of(checkpoint) == back_end
    for max_new_tokens in (0, 5):
        recorded = record(checkpoint, encoded, max_new_tokens=max_new_tokens).logits
        assert torch.allclose(recorded, own[-1], atol=1e-5)


@contextmanager
def removed(checkpoint: Checkpoint, block: Edge) -> Iterator[None]:
    """One knockout, put into the eager attention function of the model's own file."""
    module = checkpoint.parts.layers[block.layer].self_attn
    home = sys.modules[type(module).__module__]

    def attention(
        of: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, **options: Any
    ) -> Any:
        if of is module:
            mask = mask.expand(1, query.shape[1], *mask.shape[-2:]).clone()
            heads = range(query.shape[1]) if block.heads is None else block.heads
            for head in heads:
                for at in block.queries:
                    mask[0, head, at, list(block.keys)] = torch.finfo(mask.dtype).min
        return plain(of, query, key, value, mask, **options)

    with pytest.MonkeyPatch.context() as patch:
        plain = home.eager_attention_forward
        patch.setattr(home, "eager_attention_forward", attention)
        yield


@pytest.mark.parametrize("heads", [None, (1,)])
@pytest.mark.parametrize("name", CHOOSING)
def test_knockouts_leave_a_models_choice_of_keys_to_it(
    name: str, heads: tuple[int, ...] | None
) -> None:
    checkpoint, encoded = families.build(name)
    checkpoint.model.set_attn_implementation("eager")
    recording = record(checkpoint, encoded)
    assert "mask of its own" in (recording.fallback or "")
    own, last, done = alone(checkpoint, encoded)[-1], recording.length - 1, 0
    for layer in range(4):
        for key in range(last):
            block = Edge(layer, (last,), (key,), heads)
            try:
                found = evaluate(recording, [(Cut((block,)),)]).logits[0]
            except InterventionError:
                continue  # the model doesn't read that key
            with removed(checkpoint, block):
                expected = alone(checkpoint, encoded)[-1]
            assert torch.allclose(found, expected, atol=1e-5)
            assert not torch.allclose(found, own, atol=1e-5)
            done += 1
    assert done >= 4


@pytest.mark.parametrize("name", CHOOSING)
def test_streams_and_tokens_of_models_that_choose_keys(name: str) -> None:
    checkpoint, encoded = families.build(name)
    recording = record(checkpoint, encoded, max_new_tokens=4)
    one: Condition = (Ablate([9], "zero"),)
    states = changed_stream(recording, one)
    seen: list[Tensor] = []
    embedded = checkpoint.model.get_input_embeddings()(encoded.inputs["input_ids"]).detach()
    embedded[:, 9] = 0
    hook = checkpoint.parts.layers[-1].register_forward_hook(lambda _, __, out: seen.append(out[0]))
    with torch.no_grad():
        expected = checkpoint.model(inputs_embeds=embedded, use_cache=False).logits[0, -1]
    hook.remove()
    assert torch.allclose(states[-1], seen[0].reshape(-1, seen[0].shape[-1]), atol=1e-5)
    assert torch.allclose(evaluate(recording, [one]).logits[0], expected, atol=1e-5)
    with torch.no_grad():
        tokens = checkpoint.model.generate(
            **encoded.inputs, max_new_tokens=4, do_sample=False, use_cache=False, pad_token_id=0
        )
    assert list(generate(recording, [()])[0].tokens) == tokens[0, recording.length :].tolist()


def test_a_model_that_minds_being_captured_is_refused() -> None:
    checkpoint, encoded = families.build("llava")

    def shy(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        return output if type(name_of(checkpoint)) is str else output * 1.5

    checkpoint.parts.layers[1].mlp.register_forward_hook(shy)
    for max_new_tokens in (0, 4, 0):
        with pytest.raises(ModelError, match="can't be captured without changing it"):
            record(checkpoint, encoded, max_new_tokens=max_new_tokens)


def test_a_prompt_that_minds_its_room_is_recorded_without() -> None:
    checkpoint, encoded = families.build("llava")
    length = encoded.layout.length

    def longer(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        return output * 1.5 if output.shape[1] > length else output

    checkpoint.parts.layers[1].mlp.register_forward_hook(longer)
    recording = record(checkpoint, encoded, max_new_tokens=4)
    assert torch.allclose(recording.logits, alone(checkpoint, encoded)[-1], atol=1e-6)
    assert recording.fallback is None
    assert "does not stand by itself" in (recording.generation_fallback or "")
    assert record(checkpoint, encoded, max_new_tokens=2).generation_fallback, "it is remembered"


def test_sub_configurations_keep_their_own_back_ends() -> None:
    checkpoint, encoded = families.build("llava")
    config = checkpoint.model.config
    config._attn_implementation = {"": "sdpa", "vision_config": "eager", "text_config": "sdpa"}

    def fine(recording: Recording) -> None:
        assert recording.fallback is None
        assert config.vision_config._attn_implementation == "eager"
        assert config.text_config._attn_implementation == "sdpa"

    fine(record(checkpoint, encoded))
