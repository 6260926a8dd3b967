"""Laws of generating by full forward passes: the model's own text, whatever it comes to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import transformers as hf
from PIL import Image
from torch import Tensor, nn

from retinoscope.engine import Recording, generate, record
from retinoscope.engine.edits.full import full_logits
from retinoscope.errors import InterventionError, ModelError
from retinoscope.interventions import Ablate, Condition, Knockout, resolve
from retinoscope.models import Checkpoint, encode
from tests.engine import families
from tests.engine.conditions import slowly
from tests.engine.families.parts import IMAGE, Built, text_only, text_options
from tests.engine.oracle import oracle_generate
from tests.models.tiny_tiles import ovis2

MAX_NEW_TOKENS = 8


def chunked() -> Built:
    """Llama 4's text model, whose positions read within chunks of nine."""
    config = hf.Llama4TextConfig(
        **text_options(
            head_dim=16,
            intermediate_size_mlp=64,
            num_local_experts=2,
            num_experts_per_tok=1,
            attention_chunk_size=9,
            layer_types=["chunked_attention", "full_attention"] * 2,
            no_rope_layers=[1, 0, 1, 0],
        )
    )
    return text_only(hf.Llama4ForCausalLM(config))


def leaving(recording: Recording) -> list[Condition]:
    """Knockouts whose keys the prompt's last position still reads, and generated ones do not."""
    last = recording.length - 1
    return [
        (Knockout([last], [key], layers),)
        for key in (last - 8, last - 7, last - 2)
        for layers in ([0], [0, 2])
    ]


@pytest.mark.parametrize("name", ["gemma3n_text", "gemma3", "paligemma2", "aya_vision"])
def test_keys_that_leave_the_window_are_gone(name: str) -> None:
    checkpoint, encoded = families.build(name)
    recording = record(checkpoint, encoded, max_new_tokens=MAX_NEW_TOKENS)
    forced = slowly(recording)
    given = leaving(forced) if name != "paligemma2" else leaving(forced)[2:]
    found = [list(one.tokens) for one in generate(forced, given)]
    for one, tokens in zip(given, found, strict=True):
        expected = oracle_generate(checkpoint, encoded, resolve(one, recording), MAX_NEW_TOKENS)
        assert tokens == expected[: expected.index(2) if 2 in expected else None]
    if recording.fallback is None and recording.generation_fallback is None:
        assert found == [list(one.tokens) for one in generate(recording, given)]


def test_keys_that_leave_the_chunk_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(families.BUILDERS, "chunked", chunked)
    recording = record(*families.build("chunked"), max_new_tokens=MAX_NEW_TOKENS)
    assert recording.generation_fallback is None
    last = recording.length - 1
    given: list[Condition] = [
        (Knockout([last], keys, [0, 2]),) for keys in ([last - 6], [last - 2, last - 1])
    ]
    assert not recording.layers[0].allowed[last + 3, last - 6]
    found = generate(slowly(recording), given)
    for one, other in zip(found, generate(recording, given), strict=True):
        assert one.tokens == other.tokens
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


@pytest.mark.parametrize("name", ["gemma3n_text", "gemma3"])
def test_keys_that_the_prompt_does_not_read_are_still_refused(name: str) -> None:
    recording = record(*families.build(name), max_new_tokens=MAX_NEW_TOKENS)
    forced = slowly(recording)
    last = forced.length - 1
    with pytest.raises(InterventionError, match="finds no edge at"):
        generate(forced, [(Knockout([last], [last - 9], [0]),)])


@contextmanager
def saying(checkpoint: Checkpoint, token: int) -> Iterator[None]:
    """The model's every word is one token."""

    def prefer(_: nn.Module, __: tuple, output: Tensor) -> Tensor:
        output = output.clone()
        output[..., token] += 30.0
        return output

    hook = checkpoint.parts.head.register_forward_hook(prefer)
    try:
        yield
    finally:
        hook.remove()


@torch.no_grad()
def fed(checkpoint: Checkpoint, inputs: dict[str, Tensor], tokens: list[int]) -> Tensor:
    """The model's own logits when it is fed some tokens one by one, through its cache."""
    model, length = checkpoint.model, inputs["input_ids"].shape[1]
    seen = model(**inputs, use_cache=True)
    for at, token in enumerate(tokens):
        seen = model(
            input_ids=torch.tensor([[token]]),
            attention_mask=torch.ones(1, length + at + 1, dtype=torch.long),
            past_key_values=seen.past_key_values,
            use_cache=True,
        )
    return seen.logits[0, -1]


@pytest.mark.parametrize("name", ["llava", "idefics3", "mistral3"])
def test_an_image_token_is_a_word_when_it_is_generated(name: str) -> None:
    checkpoint, encoded = families.build(name)
    recording = record(checkpoint, encoded)
    for tokens in ([IMAGE], [17, IMAGE, IMAGE, 23]):
        found = full_logits(recording, (), tokens=tokens)[0]
        expected = fed(checkpoint, dict(encoded.inputs), tokens)
        assert torch.allclose(found, expected, atol=1e-5)
    other = full_logits(recording, (), tokens=[17, 17, 17, 23])[0]
    assert not torch.allclose(found, other, atol=1e-3)


def test_what_stands_around_an_image_is_a_word_when_it_is_generated() -> None:
    """Ovis2 embeds its indicators by the vision tower, in the prompt alone."""
    checkpoint = ovis2()
    encoded = encode(checkpoint, Image.new("RGB", (64, 64), "red"), "Is there a dog ?")
    indicators = checkpoint.model.config.visual_indicator_token_ids
    recording = record(checkpoint, encoded)
    for tokens in ([indicators[0]], [6, indicators[1], indicators[2], 7]):
        found = full_logits(recording, (), tokens=tokens)[0]
        expected = fed(checkpoint, dict(encoded.inputs), tokens)
        assert torch.allclose(found, expected, atol=1e-5)


def test_a_model_that_says_its_image_token_goes_on() -> None:
    """Also where the self-check is where it does so, and where generation falls back."""
    checkpoint, encoded = families.build("llava")
    with saying(checkpoint, IMAGE):
        recording = record(checkpoint, encoded, max_new_tokens=MAX_NEW_TOKENS)
        assert recording.generation_fallback is None
        given: list[Condition] = [(), (Ablate([6, 7], "zero"),)]
        found = generate(recording, given)
        forced = generate(slowly(recording), given)
    for one, other in zip(found, forced, strict=True):
        assert one.tokens == other.tokens == (IMAGE,) * MAX_NEW_TOKENS
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    record(checkpoint, encoded, max_new_tokens=MAX_NEW_TOKENS)
    assert all(not module._forward_hooks for module in [checkpoint.parts.embedding])


def test_a_model_whose_layers_read_its_tokens_says_so() -> None:
    checkpoint, encoded = families.build("llava")
    recording = record(checkpoint, encoded)
    checkpoint.model.get_decoder().config.hidden_size_per_layer_input = 8
    with pytest.raises(ModelError, match="its own image token"):
        full_logits(recording, (), tokens=[IMAGE])
