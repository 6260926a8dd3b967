"""The embedded model loads with plain `transformers`, sees, and is as good as its card says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

import retinoscope
from retinoscope.data.scenes import CLASSES, NAMES, Scene, compose
from retinoscope.data.scenes.language import DESCRIBE, poll_question, position_question, questions

FOLDER = Path(retinoscope.__file__).parent / "models" / "embedded"
COUNT, SEED = 60, 4001


class Vlm:
    """Model and processor as anyone would load them."""

    def __init__(self) -> None:
        self.processor: Any = AutoProcessor.from_pretrained(FOLDER)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(FOLDER, dtype=torch.float32)
        self.model.eval()

    def inputs(self, scenes: list[Scene], prompts: list[str]) -> Any:
        texts = [
            self.processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": p}]}],
                add_generation_prompt=True,
            )
            for p in prompts
        ]
        images = [Image.fromarray(s.image) for s in scenes]
        return self.processor(images=images, text=texts, padding=True, return_tensors="pt")

    @torch.no_grad()
    def answer(self, scenes: list[Scene], prompts: list[str], new_tokens: int = 4) -> list[str]:
        inputs = self.inputs(scenes, prompts)
        output = self.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
        new = output[:, inputs["input_ids"].shape[1] :]
        return self.processor.batch_decode(new, skip_special_tokens=True)


@pytest.fixture(scope="module")
def vlm() -> Vlm:
    return Vlm()


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [compose(SEED, i) for i in range(COUNT)]


def named(text: str) -> set[str]:
    words = set(re.findall(r"[a-z]+", text.lower()))
    return {n for n in NAMES if words & {n, CLASSES[n].plural}}


def test_the_folder_is_small() -> None:
    weights = (FOLDER / "model.safetensors").stat().st_size
    assert weights == sum(f.stat().st_size for f in FOLDER.glob("*.safetensors"))
    assert sum(f.stat().st_size for f in FOLDER.iterdir() if f.is_file()) < 25e6


def test_it_is_a_small_untied_llava(vlm: Vlm) -> None:
    config = vlm.model.config
    assert config.model_type == "llava"
    assert config.vision_config.model_type == "clip_vision_model"
    assert config.text_config.model_type == "llama"
    output, embedding = vlm.model.lm_head.weight, vlm.model.get_input_embeddings().weight
    assert output.data_ptr() != embedding.data_ptr()
    assert not torch.allclose(output, embedding)


def test_a_prompt_holds_144_visual_tokens_after_three_others(vlm: Vlm, scenes: list[Scene]) -> None:
    tokens = vlm.inputs(scenes[:1], [DESCRIBE])["input_ids"][0]
    words = vlm.processor.tokenizer.convert_ids_to_tokens(tokens)
    assert words[:3] == ["<bos>", "USER", ":"]
    assert words[3:147] == [vlm.processor.image_token] * 144
    assert words[147:] == ["Describe", "this", "image", ".", "ASSISTANT", ":"]
    assert tokens[3] == vlm.model.config.image_token_id


def test_pixels_reach_the_tower_unresized(vlm: Vlm, scenes: list[Scene]) -> None:
    pixels = vlm.inputs(scenes[:1], [DESCRIBE])["pixel_values"][0]
    expected = (torch.from_numpy(scenes[0].image.copy()).permute(2, 0, 1) / 255 - 0.5) / 0.25
    assert torch.allclose(pixels, expected, atol=1e-5)


def test_every_word_of_the_tasks_is_one_known_token(vlm: Vlm, scenes: list[Scene]) -> None:
    tokenizer = vlm.processor.tokenizer
    texts = [DESCRIBE, *map(poll_question, NAMES)]
    texts += [f"{q.question} {q.answer}" for s in scenes for q in questions(s.facts)]
    for text in texts:
        assert tokenizer.unk_token_id not in tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text
    for scene_class in CLASSES.values():
        for word in (scene_class.name, scene_class.plural):
            assert len(tokenizer.encode(word, add_special_tokens=False)) == 1


def test_half_precision_answers_the_same(vlm: Vlm, scenes: list[Scene]) -> None:
    half: Any = AutoModelForImageTextToText.from_pretrained(FOLDER, dtype=torch.bfloat16)
    inputs = vlm.inputs(scenes[:24], [poll_question(s.objects[0].name) for s in scenes[:24]])
    with torch.no_grad():
        full = vlm.model(**inputs).logits[:, -1].argmax(-1)
        less = half(**inputs).logits[:, -1].argmax(-1)
    assert (full == less).float().mean() >= 0.9


def test_it_describes_what_is_there(vlm: Vlm, scenes: list[Scene]) -> None:
    said = [named(t) for t in vlm.answer(scenes, [DESCRIBE] * COUNT, 30)]
    true = [{o.name for o in s.objects} for s in scenes]
    hits = sum(len(a & b) for a, b in zip(said, true, strict=True))
    assert hits / sum(map(len, true)) > 0.7
    assert hits / sum(map(len, said)) > 0.7


def test_it_answers_polls_both_ways(vlm: Vlm, scenes: list[Scene]) -> None:
    absent = [
        next(n for n in np.roll(NAMES, s.index) if n not in {o.name for o in s.objects})
        for s in scenes
    ]
    yes = vlm.answer(scenes, [poll_question(s.objects[0].name) for s in scenes])
    no = vlm.answer(scenes, [poll_question(str(n)) for n in absent])
    assert np.mean([a == "Yes" for a in yes]) > 0.75
    assert np.mean([a == "No" for a in no]) > 0.75


def test_it_answers_questions_about_places(vlm: Vlm, scenes: list[Scene]) -> None:
    """The floor is below the card's share, which is itself close to guessing among the things."""
    asked = [next(q for q in questions(s.facts) if q.kind == "position") for s in scenes]
    answers = vlm.answer(scenes, [q.question for q in asked], 6)
    assert np.mean([a == q.answer for a, q in zip(answers, asked, strict=True)]) > 0.5


def test_it_sees_rather_than_guesses(vlm: Vlm, scenes: list[Scene]) -> None:
    """With another scene's image, the answers to the same questions are mostly wrong."""
    prompts = [position_question(s.objects[0].row, s.objects[0].column) for s in scenes]
    answers = vlm.answer(scenes[1:] + scenes[:1], prompts, 6)
    truth = [s.objects[0].name for s in scenes]
    assert np.mean([t in named(a) for a, t in zip(answers, truth, strict=True)]) < 0.3


def test_the_card_tells_the_measured_quality() -> None:
    quality = json.loads((FOLDER / "quality.json").read_text("utf-8"))
    card = (FOLDER / "README.md").read_text("utf-8")
    assert quality["scenes"] >= 1000
    assert f"on {quality['scenes']:,} new scenes each" in " ".join(card.split())
    for measure in ("describe_recall", "describe_precision", "poll", "position", "count"):
        for sprites in ("train_sprites", "heldout_sprites"):
            assert f"{quality[sprites][measure]:.3f}" in card
