"""Measure the exported folder through plain `transformers`, on scenes it never saw."""

from __future__ import annotations

import json
import multiprocessing
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from retinoscope.data.scenes.classes import CLASSES, NAMES
from retinoscope.data.scenes.compose import Scene, compose
from retinoscope.data.scenes.language import DESCRIBE, poll_question, questions
from retinoscope.data.scenes.sprites import SpriteSplit

SEEDS: dict[SpriteSplit, int] = {"train": 1002, "heldout": 1003}
ROWS = 50


class Answerer:
    """The exported model and processor, answering in batches."""

    def __init__(self, folder: Path) -> None:
        """Load the folder in float32."""
        self.processor = AutoProcessor.from_pretrained(folder)
        # Any: the auto class is typed as a bare base class, which can't generate.
        self.model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
        self.model.eval()

    def inputs(self, images: Sequence[np.ndarray], prompts: Sequence[str]):
        """Return model inputs for as many images as prompts, padded at the left."""
        texts = [
            self.processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": p}]}],
                add_generation_prompt=True,
            )
            for p in prompts
        ]
        pictures = [Image.fromarray(image) for image in images]
        return self.processor(images=pictures, text=texts, padding=True, return_tensors="pt")

    @torch.no_grad()
    def answer(
        self, images: Sequence[np.ndarray], prompts: Sequence[str], new_tokens: int = 40
    ) -> list[str]:
        """Generate answers greedily."""
        found: list[str] = []
        for start in range(0, len(prompts), ROWS):
            rows = slice(start, start + ROWS)
            inputs = self.inputs(images[rows], prompts[rows])
            output = self.model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
            output = output[:, inputs["input_ids"].shape[1] :]
            found += self.processor.batch_decode(output, skip_special_tokens=True)
        return [text.strip() for text in found]


def named_classes(text: str) -> set[str]:
    """Return the classes that a text names as whole words, singular or plural."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return {name for name in NAMES if words & {name, CLASSES[name].plural}}


def _describe(answerer: Answerer, scenes: list[Scene]) -> dict[str, float]:
    texts = answerer.answer([s.image for s in scenes], [DESCRIBE] * len(scenes))
    hits = named = there = exact = 0
    for text, scene in zip(texts, scenes, strict=True):
        said, true = named_classes(text), {o.name for o in scene.objects}
        hits, named, there = hits + len(said & true), named + len(said), there + len(true)
        exact += said == true
    return {
        "describe_recall": hits / there,
        "describe_precision": hits / max(named, 1),
        "describe_exact": exact / len(scenes),
    }


def _poll(answerer: Answerer, scenes: list[Scene]) -> dict[str, float]:
    prompts, truths = [], []
    for scene in scenes:
        rng = np.random.default_rng((scene.seed, scene.index, 2))
        there = [o.name for o in scene.objects]
        absent = [name for name in NAMES if name not in there]
        prompts += [poll_question(rng.choice(there)), poll_question(rng.choice(absent))]
        truths += ["Yes", "No"]
    answers = answerer.answer([s.image for s in scenes for _ in range(2)], prompts, 3)
    right = np.array([a == t for a, t in zip(answers, truths, strict=True)])
    return {
        "poll": float(right.mean()),
        "poll_yes": float(right[::2].mean()),
        "poll_no": float(right[1::2].mean()),
    }


def _questions(answerer: Answerer, scenes: list[Scene]) -> dict[str, float]:
    images, asked = [], []
    for scene in scenes:
        rng = np.random.default_rng((scene.seed, scene.index, 3))
        listed = questions(scene.facts)
        repeated = any(n > 1 for n in Counter(o.name for o in scene.objects).values())
        # The last three are no task of the experiments; a third of the scenes does for them.
        more = ("colour", "where", "kind") if scene.index % 3 == 0 else ()
        for kind in ("position", "relation", "count", *more):
            fitting = [q for q in listed if q.kind == kind]
            if kind == "count" and repeated:
                fitting = [q for q in fitting if q.word != "One"]
            if fitting:
                asked.append(fitting[rng.integers(len(fitting))])
                images.append(scene.image)
    answers = answerer.answer(images, [q.question for q in asked], 10)
    right: dict[str, list[bool]] = defaultdict(list)
    for answer, question in zip(answers, asked, strict=True):
        correct = answer == question.answer
        right[question.kind].append(correct)
        if question.kind in ("position", "relation"):
            right["ask"].append(correct)
        if question.kind == "count" and question.word != "One":
            right["count_several"].append(correct)
    return {kind: float(np.mean(hits)) for kind, hits in right.items()}


def measure_quality(folder: Path, sprites: SpriteSplit, count: int = 1000) -> dict[str, float]:
    """Measure every task on new compositions.

    Args:
        folder: an exported model.
        sprites: which sprites the scenes are made of.
        count: number of scenes.

    Returns:
        Shares in [0, 1] by name of the measure.
    """
    answerer = Answerer(folder)
    scenes = [compose(SEEDS[sprites], i, sprites) for i in range(count)]
    return {
        **_describe(answerer, scenes),
        **_poll(answerer, scenes),
        **_questions(answerer, scenes),
    }


def evaluate(folder: Path, count: int = 1000) -> None:
    """Measure the folder on both sprite splits; print the table and save `quality.json`.

    Each split is measured in a process of its own, with one thread.
    """
    splits: tuple[SpriteSplit, ...] = ("train", "heldout")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, torch.set_num_threads, (1,)) as pool:
        train, heldout = pool.map(measure_quality, [folder] * 2, splits, [count] * 2)
    table = {"scenes": count, "train_sprites": train, "heldout_sprites": heldout}
    for name, share in train.items():
        print(f"{name:20s} {share:.3f} {heldout[name]:.3f}", flush=True)
    rounded = {
        key: {k: round(v, 4) for k, v in value.items()} if isinstance(value, dict) else value
        for key, value in table.items()
    }
    (folder / "quality.json").write_text(json.dumps(rounded, indent=2) + "\n", "utf-8")
