"""Measure the model on new scenes: what it names, and what it answers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from PIL import Image

from recipes.embedded.answering import named_classes
from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.compose import Scene, compose
from retinoscope.data.scenes.language import DESCRIBE, poll_question, questions
from retinoscope.data.scenes.sprites import SpriteSplit

SEEDS: dict[SpriteSplit, int] = {"train": 1002, "heldout": 1003}
ROWS = 100


@torch.no_grad()
def answer(model: Any, processor: Any, images: list, prompts: list[str], length: int) -> list[str]:
    """Greedy answers, through the processor and `generate` as any user would have them."""
    found: list[str] = []
    processor.tokenizer.padding_side = "left"
    for start in range(0, len(prompts), ROWS):
        rows = slice(start, start + ROWS)
        texts = [
            processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": p}]}],
                add_generation_prompt=True,
            )
            for p in prompts[rows]
        ]
        pictures = [Image.fromarray(image) for image in images[rows]]
        inputs = processor(images=pictures, text=texts, padding=True, return_tensors="pt")
        inputs = inputs.to(model.device)
        with torch.autocast(model.device.type, dtype=torch.bfloat16):
            output = model.generate(**inputs, max_new_tokens=length, do_sample=False)
        found += processor.batch_decode(
            output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
    return [text.strip() for text in found]


def measure_quality(
    model: Any, processor: Any, sprites: SpriteSplit, count: int
) -> dict[str, float]:
    """Recall and precision of descriptions, and shares of right answers, on new scenes."""
    model.eval()
    scenes = [compose(SEEDS[sprites], i, sprites) for i in range(count)]
    found = _describe(model, processor, scenes)
    asked = defaultdict(list)
    images, prompts, truths, kinds = [], [], [], []
    for scene in scenes:
        rng = np.random.default_rng((scene.seed, scene.index, 2))
        there = [o.name for o in scene.objects]
        absent = [name for name in NAMES if name not in there]
        trials = [
            ("poll", poll_question(str(rng.choice(there))), "Yes"),
            ("poll", poll_question(str(rng.choice(absent))), "No"),
        ]
        listed = questions(scene.facts)
        for kind in ("position", "relation", "count"):
            fitting = [q for q in listed if q.kind == kind]
            if fitting:
                chosen = fitting[rng.integers(len(fitting))]
                trials.append((kind, chosen.question, chosen.answer))
        for kind, prompt, truth in trials:
            images.append(scene.image)
            prompts.append(prompt)
            truths.append(truth)
            kinds.append(kind)
    said = answer(model, processor, images, prompts, 10)
    for kind, text, truth in zip(kinds, said, truths, strict=True):
        asked[kind].append(text == truth)
    return {**found, **{kind: float(np.mean(hits)) for kind, hits in asked.items()}}


def _describe(model: Any, processor: Any, scenes: list[Scene]) -> dict[str, float]:
    texts = answer(model, processor, [s.image for s in scenes], [DESCRIBE] * len(scenes), 40)
    hits = named = there = 0
    for text, scene in zip(texts, scenes, strict=True):
        said, true = named_classes(text), {o.name for o in scene.objects}
        hits, named, there = hits + len(said & true), named + len(said), there + len(true)
    return {"recall": hits / there, "precision": hits / max(named, 1)}
