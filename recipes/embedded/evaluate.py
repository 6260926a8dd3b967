"""Measure an exported folder through plain `transformers`, on scenes it never saw."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from jaxtyping import UInt8
from PIL import ImageFilter

from recipes.embedded.answering import Answerer, Asked, named_classes
from recipes.embedded.asking import COLOURED, kind_number
from recipes.embedded.asking import KINDS as MEASURES
from recipes.embedded.scenes import MIX
from retinoscope.data.scenes.arrange import arrange
from retinoscope.data.scenes.asking import ask
from retinoscope.data.scenes.classes import NAMES
from retinoscope.data.scenes.compose import compose
from retinoscope.data.scenes.language import (
    DESCRIBE,
    Fact,
    Question,
    poll_question,
    questions,
)
from retinoscope.data.scenes.layouts import Layout
from retinoscope.data.scenes.render import render
from retinoscope.data.scenes.sprites import SpriteSplit

AT_ONCE = 20
"""Scenes that are asked about together."""
LINE = 10.0
"""Change of a channel from pixel to pixel, of 255, that is drawn as a line."""
Image = UInt8[np.ndarray, "192 192 3"]


def keep(image: Image) -> Image:
    """Return an image as it is."""
    return image


def in_lines(image: Image) -> Image:
    """Draw an image in black lines on white, where any of its three channels changes."""
    soft = np.asarray(PIL.Image.fromarray(image).filter(ImageFilter.GaussianBlur(1)), np.float32)
    down, across = np.gradient(soft, axis=(0, 1))
    lines = np.hypot(down, across).max(-1) > LINE
    return np.where(lines[..., None], 0, 255).astype(np.uint8).repeat(3, -1)


@dataclass(frozen=True)
class Style:
    """How scenes look that a model is measured on.

    Attributes:
        seed: of the scenes; no other use of the package has it.
        sprites: which sprites they are made of.
        change: what is done to each image.
        without: measures that are left out, as the change makes their answers wrong.
    """

    seed: int
    sprites: SpriteSplit
    change: Callable[[Image], Image] = keep
    without: tuple[str, ...] = ()


STYLES = {
    "train_sprites": Style(1002, "train"),
    "heldout_sprites": Style(1003, "heldout"),
    "heldout_lines": Style(1004, "heldout", in_lines, COLOURED),
}
"""Sprites that were trained on; Twemoji, which never were; Twemoji as drawings in lines."""


@dataclass(frozen=True)
class Measured:
    """A scene to ask about.

    Attributes:
        image: RGB.
        facts: what language says of its things.
        listed: (measure, question, answer) of what is asked.
    """

    image: Image
    facts: tuple[Fact, ...]
    listed: list[tuple[str, str, str]]


def composed_scene(style: Style, index: int) -> Measured:
    """Compose a scene of the first generation: one poll of each answer, one question a kind."""
    scene = compose(style.seed, index, style.sprites)
    rng = np.random.default_rng((style.seed, index, 3))
    there = [o.name for o in scene.objects]
    absent = [name for name in NAMES if name not in there]
    listed = [
        ("poll_yes", poll_question(rng.choice(there)), "Yes"),
        ("poll_no", poll_question(rng.choice(absent)), "No"),
    ]
    by_kind: defaultdict[str, list[Question]] = defaultdict(list)
    for question in questions(scene.facts):
        by_kind[question.kind].append(question)
    if any(n > 1 for n in Counter(there).values()):
        by_kind["count"] = [q for q in by_kind["count"] if q.word != "One"]
    listed += _draw(by_kind, rng)
    return Measured(style.change(scene.image), scene.facts, listed)


def arranged_layout(style: Style, index: int) -> Layout:
    """Arrange a scene of the second generation; the kinds come as often as in training."""
    kinds = [kind for kind, count in MIX.items() if kind for _ in range(count)]
    turn, slot = divmod(index, len(kinds))
    kind = kinds[slot]
    number = turn * kinds.count(kind) + slot - kinds.index(kind)
    return arrange(kind, style.seed, number, style.sprites)


def arranged_scene(style: Style, index: int) -> Measured:
    """Arrange a scene of the second generation, with one question of each kind that it answers."""
    layout = arranged_layout(style, index)
    picture = render(layout)
    by_kind: defaultdict[str, list] = defaultdict(list)
    for asked in ask(layout):
        by_kind["painted" if asked.kind == "colour" else asked.kind].append(asked)
    rng = np.random.default_rng((style.seed, index, 4))
    return Measured(style.change(picture.image), picture.facts, _draw(by_kind, rng))


def _draw(by_kind: dict[str, list], rng: np.random.Generator) -> list[tuple[str, str, str]]:
    drawn = []
    for kind, fitting in by_kind.items():
        if fitting:
            q = fitting[rng.integers(len(fitting))]
            drawn.append((MEASURES[kind_number(kind, q.answer)], q.question, q.answer))
    return drawn


def measure_quality(folder: Path, style: Style, count: int = 1000) -> dict[str, float]:
    """Measure every task on new scenes, one half composed and one arranged.

    Args:
        folder: an exported model.
        style: how they look.
        count: number of scenes.

    Returns:
        Shares in [0, 1] by name of the measure.
    """
    answerer = Answerer(folder)
    right: defaultdict[str, list[bool]] = defaultdict(list)
    counts: Counter[str] = Counter()
    for make in (composed_scene, arranged_scene):
        for start in range(0, count // 2, AT_ONCE):
            scenes = [make(style, i) for i in range(start, min(count // 2, start + AT_ONCE))]
            images = [scene.image for scene in scenes]
            asked = [
                Asked(number, question, answer, measure)
                for number, scene in enumerate(scenes)
                for measure, question, answer in scene.listed
                if measure not in style.without
            ]
            for each, hit in zip(asked, answerer.right(images, asked), strict=True):
                right[each.measure].append(bool(hit))
            if make is composed_scene:
                counts += _describe(answerer, scenes)
    return _shares(right, counts)


def _describe(answerer: Answerer, scenes: list[Measured]) -> Counter[str]:
    """Count classes that descriptions name, those that are there, and exact descriptions."""
    texts = answerer.answer([s.image for s in scenes], [DESCRIBE] * len(scenes))
    counts: Counter[str] = Counter(scenes=len(scenes))
    for text, scene in zip(texts, scenes, strict=True):
        said, true = named_classes(text), {fact.name for fact in scene.facts}
        counts.update(
            hits=len(said & true), named=len(said), there=len(true), exact=int(said == true)
        )
    return counts


def _shares(right: dict[str, list[bool]], counts: Counter[str]) -> dict[str, float]:
    found = {
        "describe_recall": counts["hits"] / counts["there"],
        "describe_precision": counts["hits"] / max(counts["named"], 1),
        "describe_exact": counts["exact"] / counts["scenes"],
    }
    joined = {"poll": ("poll_yes", "poll_no"), "ask": ("position", "relation")}
    joined["count"] = ("count", "count_several")
    for name, parts in joined.items():
        found[name] = float(np.mean([hit for part in parts for hit in right[part]]))
    return found | {k: float(np.mean(hits)) for k, hits in right.items() if k not in joined}


def evaluate(folder: Path, count: int = 1000) -> None:
    """Measure the folder in every style; print the table and save `quality.json`.

    Each style is measured in a process of its own, with one thread.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn, torch.set_num_threads, (1,)) as pool:
        jobs = {k: pool.submit(measure_quality, folder, s, count) for k, s in STYLES.items()}
        table = {name: job.result() for name, job in jobs.items()}
    write_quality(folder, table, count)


def write_quality(folder: Path, table: dict[str, dict[str, float]], count: int) -> None:
    """Print what was measured and save it as `quality.json`."""
    for measure in next(iter(table.values())):
        row = [f"{shares[measure]:.3f}" if measure in shares else "-" for shares in table.values()]
        print(f"{measure:20s}", *row, flush=True)
    rounded = {name: {k: round(v, 4) for k, v in row.items()} for name, row in table.items()}
    text = json.dumps({"scenes": count, "by": "transformers"} | rounded, indent=2)
    (folder / "quality.json").write_text(text + "\n", "utf-8")
