"""Models that are handed over as objects, and adapters on their base."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import LlavaForConditionalGeneration

from retinoscope.engine import Recording, evaluate, look
from retinoscope.errors import ModelError
from retinoscope.interventions import Ablate
from retinoscope.models import Checkpoint, load
from retinoscope.models.family import families

IMAGE = Image.linear_gradient("L").convert("RGB").resize((80, 60))
QUESTION = "Is there a dog in this image ?"


# What torch.compile and peft warn of when they are imported or used.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning"),
]


def network(seed: int = 0) -> LlavaForConditionalGeneration:
    """The tiny model, the same for the same seed."""
    torch.manual_seed(seed)
    return tiny.model(seed)


def seen(checkpoint: Checkpoint) -> Recording:
    return look(checkpoint, IMAGE, QUESTION)


def own_logits(model: nn.Module, recording: Recording) -> torch.Tensor:
    """What the model says itself, called by its own user."""
    with torch.no_grad():
        return model(**recording.encoded.inputs, logits_to_keep=1).logits[0, -1]


def test_a_loaded_model_is_looked_into_as_a_folder_is_and_left_as_it_is(tmp_path):
    model, processor = network(), tiny.processor()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    wanted = seen(load(tmp_path))
    before = {name: weight.requires_grad for name, weight in model.named_parameters()}
    found = seen(load(model, processor))
    torch.testing.assert_close(found.logits, wanted.logits)
    assert before == {name: weight.requires_grad for name, weight in model.named_parameters()}
    ablated = Ablate(range(5, 9), "zero")
    for one in (found, wanted):
        assert one.fallback is None
    pair = [evaluate(one, [(ablated,)]).logits for one in (found, wanted)]
    torch.testing.assert_close(*pair)


def test_what_is_compiled_is_seen_inside():
    model, processor = network(), tiny.processor()
    wanted = seen(load(model, processor)).logits
    assert torch.equal(seen(load(torch.compile(model), processor)).logits, wanted)
    inside = network()
    inside.compile()
    assert torch.equal(seen(load(inside, processor)).logits, wanted)
    assert inside._compiled_call_impl is not None  # as its user wants it
    forward = network()
    forward.forward = torch.compile(forward.forward)
    assert torch.equal(seen(load(forward, processor)).logits, wanted)
    part = network()
    part.get_submodule("model.language_model.layers.1").compile()
    with pytest.raises(ModelError, match=r"on their own \(model.language_model.layers.1\)"):
        load(part, processor)


def test_a_model_in_data_parallel_is_unwrapped():
    model, processor = network(), tiny.processor()
    found = load(nn.DataParallel(model).eval(), processor)
    assert found.model is model


@pytest.mark.filterwarnings("ignore:torch.ao.quantization:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*quantiz:UserWarning")
def test_a_quantised_model_runs_as_it_is():
    model = network()
    quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8).eval()
    recording = seen(load(quantised, tiny.processor()))
    assert not torch.equal(recording.logits, own_logits(model, recording))
    torch.testing.assert_close(recording.logits, own_logits(quantised, recording))
    # Its scales follow from the whole input, so that no part can be run alone; the engine notices.
    assert recording.fallback is not None
    evaluate(recording, [(Ablate(range(5, 9), "zero"),)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processor": None}, "its processor"),
        ({"dtype": torch.float16}, "dtype can't be set"),
        ({"device": "cpu", "revision": "main"}, "device, revision can't be set"),
    ],
)
def test_what_does_not_go_with_a_loaded_model_is_refused(options, message):
    given = {"processor": tiny.processor()} | options
    with pytest.raises(ModelError, match=message):
        load(network(), given.pop("processor"), **given)


def test_what_can_not_be_looked_into_is_refused():
    processor = tiny.processor()
    for wrong in (nn.Linear(3, 3), torch.compile(nn.Linear(3, 3))):
        with pytest.raises(ModelError, match="A Linear is not a transformers model"):
            load(wrong, processor)
    with pytest.raises(ModelError, match="set to training"):
        load(network().train(), processor)
    broken = network()
    broken.lm_head.weight.data[3, 3] = torch.nan
    with pytest.raises(ModelError, match="NaN"):
        load(broken, processor)
    with pytest.raises(ModelError, match="without tokenizer"):
        load(network(), object())


def test_models_are_told_apart_by_their_weights_and_settings():
    one, same, other = (load(network(seed), tiny.processor()) for seed in (0, 0, 1))
    assert one.identity == same.identity != other.identity
    seen(one)
    assert load(one.model, tiny.processor()).identity == one.identity  # a run changes nothing
    same.model.model.multi_modal_projector.scaling = 2.0
    assert load(same.model, tiny.processor()).identity != one.identity
    hooked = network()
    hooked.lm_head.register_forward_hook(lambda *_: None)
    assert load(hooked, tiny.processor()).identity != one.identity


def test_a_family_can_be_named():
    model, processor = network(), tiny.processor()
    known = families()["llava"]
    for name in (known.name, known.name.upper(), "llava", known):
        assert load(model, processor, family=name).family is known
    own = replace(known, name="mine", model_types=())
    assert seen(load(model, processor, family=own)).checkpoint.family.name == "mine"
    with pytest.raises(ModelError, match="There is no family 'no-such'; give one of Aria, "):
        load(model, processor, family="no-such")


def adapter() -> Any:
    """The tiny model with LoRA on attention, the projector and the unembedding, all at work."""
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj", "linear_1", "lm_head"])
    wrapped = peft.get_peft_model(network(), config).eval()
    generator = torch.Generator().manual_seed(3)
    for name, weight in wrapped.named_parameters():
        if "lora_" in name:
            weight.data.normal_(0, 0.2, generator=generator)
    return wrapped


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Any, Path]:
    """An adapter, and its folder beside its base's."""
    wrapped = adapter()
    network().save_pretrained(tmp_path / "base")
    tiny.processor().save_pretrained(tmp_path / "base")
    wrapped.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    wrapped.save_pretrained(tmp_path / "adapter")
    return wrapped, tmp_path / "adapter"


def test_an_adapter_that_peft_wrapped_is_in_force():
    wrapped = adapter()
    recording = seen(load(wrapped, tiny.processor()))
    assert recording.fallback is None
    torch.testing.assert_close(recording.logits, own_logits(wrapped, recording))
    with wrapped.disable_adapter():
        without = own_logits(wrapped, recording)
    assert not torch.allclose(recording.logits, without)


def test_an_adapter_folder_loads_with_its_base(folders):
    wrapped, folder = folders
    found = load(folder)
    recording = seen(found)
    torch.testing.assert_close(recording.logits, own_logits(wrapped, recording))
    assert recording.fallback is None
    assert {"adapter/adapter_model.safetensors", "base/model.safetensors"} <= found.files.keys()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "../base"  # as it lies beside it
    (folder / "adapter_config.json").write_text(json.dumps(config))
    assert torch.equal(seen(load(folder)).logits, recording.logits)


def test_an_adapter_that_is_not_whole_is_refused(folders):
    _, folder = folders
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    whole, said = load_file(weights), json.loads(config.read_text())
    first = next(key for key in whole if "q_proj.lora_B" in key)
    wrong = [
        ({k: v for k, v in whole.items() if k != first}, "it lacks .*lora_B"),
        (
            whole | {first.replace("q_proj", "z_proj"): whole[first].clone()},
            "no place for .*z_proj",
        ),
        (whole | {first: torch.zeros(3, 3)}, "can't be put on its base"),
        (whole | {first: torch.full_like(whole[first], torch.nan)}, "NaN"),
    ]
    for tensors, message in wrong:
        save_file(tensors, weights)
        with pytest.raises(ModelError, match=message), warnings.catch_warnings():
            load(folder)
    save_file(whole, weights)
    config.write_text(json.dumps(said | {"base_model_name_or_path": None}))
    with pytest.raises(ModelError, match="does not name the adapter's base"):
        load(folder)
    config.write_text(json.dumps(said))
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="a model and an adapter"):
        load(folder)
    (folder / "config.json").unlink()
    weights.rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"no adapter_model\.safetensors"):
        load(folder)


def test_an_adapter_outside_the_layers_is_refused():
    peft = pytest.importorskip("peft")
    config = peft.PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=3,
        token_dim=tiny.WIDTH,
        num_layers=tiny.LAYERS,
        num_attention_heads=tiny.HEADS,
        num_transformer_submodules=1,
    )
    wrapped = peft.get_peft_model(network(), config).eval()
    with pytest.raises(ModelError, match=r"PROMPT_TUNING\) works outside the layers"):
        load(wrapped, tiny.processor())


def test_a_model_in_an_nnsight_wrapper_is_looked_into_and_the_wrapper_goes_on_working():
    nnsight = pytest.importorskip("nnsight")
    model, processor = network(), tiny.processor()
    wanted = seen(load(model, processor))
    wrapper = nnsight.NNsight(model)
    found = seen(load(wrapper, processor))
    assert found.checkpoint.model is model
    assert torch.equal(found.logits, wanted.logits)
    with torch.no_grad(), wrapper.trace(**found.encoded.inputs, logits_to_keep=1):
        theirs = wrapper.lm_head.output[0, -1].save()
    torch.testing.assert_close(theirs, wanted.logits)
    wrapper.processor = processor  # as a TransformersModel holds its own
    assert load(wrapper).processor is processor
    with torch.device("meta"):
        unloaded = nnsight.NNsight(tiny.model(0).to("meta"))
    with pytest.raises(ModelError, match="dispatch=True"):
        load(unloaded, processor)
    with pytest.raises(ModelError, match="Envoy is not a model"):
        load(wrapper.model.language_model, processor)


def test_a_model_that_transformer_lens_has_rebuilt_is_refused():
    """A bridge puts its own parts into the model it is given, whose insides are others then."""
    model, processor = network(), tiny.processor()
    rebuilt = type("JointQKVAttentionBridge", (nn.Module,), {"__module__": "transformer_lens.x"})
    model.model.language_model.layers[1].self_attn = rebuilt()
    for given in (model, rebuilt()):
        with pytest.raises(ModelError, match="Load the model a second time"):
            load(given, processor)
