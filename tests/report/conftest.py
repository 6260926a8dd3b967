"""A synthetic run folder: seeded random records, written through the real store."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from retinoscope.experiments.ablation.records import AblationRecord
from retinoscope.experiments.knockout.records import KnockoutRecord
from retinoscope.experiments.lens.records import LensRecord
from retinoscope.results.manifest import (
    Manifest,
    ModelIdentity,
    configuration_key,
    installed_versions,
    this_machine,
    write_manifest,
)
from retinoscope.results.measured import Store, append
from retinoscope.results.records import CurationRecord, SkippedRecord
from retinoscope.results.sheet import LensSheet, ObjectOutline, save_sheet
from retinoscope.results.store import consolidate
from tests.report.browsing import compared, opened, report

__all__ = ["compared", "opened", "report"]

CLASSES = ("dog", "cat", "apple", "traffic light")
LAYERS = 9
NASTY = (
    "<script>alert(1)</script>",
    "&amp;",
    "\"'`",
    "\u202eback",
    "\ud800",
    "\u2028",
    "</textarea>",
)

# What the synthetic model loses, by selection: describe, poll, ask.
LOSS = {
    ("object", ""): (0.60, 0.45, 0.66),
    ("object+1", ""): (0.78, 0.55, 0.88),
    ("object+2", ""): (0.84, 0.62, 0.92),
    ("register", ""): (0.02, 0.01, 0.03),
    ("random", "object"): (0.01, 0.01, 0.02),
    ("random", "object+1"): (0.03, 0.02, 0.03),
    ("random", "object+2"): (0.05, 0.03, 0.04),
    ("gradients", "object+1"): (0.42, 0.30, 0.46),
}
WINDOWS = {"early": (0, 1), "early-mid": (1, 3), "mid": (3, 4), "mid-late": (4, 6), "late": (6, 7)}
WINDOW_LOSS = {
    "early": 0.04,
    "early-mid": 0.08,
    "mid": 0.2,
    "mid-late": 0.34,
    "late": 0.1,
    "all": 0.5,
}
SWEEP_LOSS = (0.0, 0.01, 0.02, 0.1, 0.3, 0.22, 0.05, -0.02)


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """Writes a synthetic run into a folder; takes objects, sheets and seed."""
    return synthetic_run


@pytest.fixture(scope="session")
def make_sheet() -> Callable[..., LensSheet]:
    """Makes a synthetic lens sheet; takes rng, title, condition, grid, layers and best."""
    return _make_sheet


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run with every table, and lens sheets of three images, one of them compared."""
    return synthetic_run(tmp_path_factory.mktemp("runs") / "synthetic")


def synthetic_run(folder: Path, objects: int = 60, sheets: int = 3, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    manifest = _manifest(folder.name, objects)
    write_manifest(folder, manifest)
    store = Store(folder, manifest.key)
    for number in range(objects):
        image, who = 100 + number, CLASSES[number % len(CLASSES)]
        kept = bool(rng.random() < 0.9)
        key = f"{image:06d}"
        curation = CurationRecord(
            image,
            number,
            who,
            True,
            not kept,
            kept,
            1200.0 + number,
            12,
            f"a {who} on grass",
            "grass",
        )
        append(store, "curation", key, [curation])
        if kept:
            append(store, "ablation", key, list(_ablation(rng, image, number, who)))
            append(store, "knockout", key, list(_knockout(rng, image, number, who)))
            append(store, "lens", key, list(_lens(rng, image, number, who)))
    gone = [SkippedRecord("data", 7, -1, "", "000007.png is not an image; replace or remove it")]
    append(store, "skipped", "000007", gone)
    consolidate(store)
    for number in range(sheets):
        sheet = _make_sheet(rng, title=f"{100 + number:06d}.png")
        save_sheet(folder / "lens" / f"{100 + number:06d}.npz", sheet, store.key)
    if sheets:
        ablated = _make_sheet(rng, title="000100.png", condition="object +1 ablated (mean)")
        save_sheet(folder / "lens" / "000100@object+1.npz", ablated, store.key)
    return folder


def _manifest(name: str, objects: int) -> Manifest:
    configuration = {"data": {"spec": "embedded", "count": objects}, "tasks": ["describe", "poll"]}
    return Manifest(
        command="retinoscope reproduce --limit 60",
        name=name,
        configuration=configuration,
        key=configuration_key(configuration),
        model=ModelIdentity("embedded", "1.0", {"model.safetensors": "0f" * 32}),
        data={"spec": "embedded", "fingerprint": "a1b2c3", "licence": NASTY[0]},
        seeds={"random sets": 0, "noise": 1},
        versions=installed_versions(),
        machine=this_machine(),
        started="2026-01-01T10:00:00+00:00",
        finished="2026-01-01T10:07:03+00:00",
        seconds=423.0,
        counts={"images": objects, "objects": objects, "kept": objects},
        skipped={"000007.png is not an image; replace or remove it": 1},
        status="complete",
    )


def _ablation(
    rng: np.random.Generator, image: int, number: int, who: str
) -> Iterator[AblationRecord]:
    size = {"object": 12, "object+1": 26, "object+2": 44, "register": 5}
    plans: list[tuple[str, str, int, int, tuple[float, ...]]]
    plans = [(s, m, 0, size.get(m or s, 0), loss) for (s, m), loss in LOSS.items()]
    for n in (5, 10, 20, 40, 60, 100):
        plans.append(("random", "", n, n, (n / 500,) * 3))
        plans.append(("gradients", "", n, n, (n / 130,) * 3))
    prompts = {
        "describe": "Describe this image.",
        "poll": f"Is there a {who} in this image?",
        "ask": "What is on the left?",
        "poll-absent": "Is there a giraffe in this image?",
    }
    good = {"describe": f"A {who} on the grass.", "poll": "Yes", "ask": who, "poll-absent": "No"}
    bad = {"describe": "A ball on the grass.", "poll": "No", "ask": NASTY[0], "poll-absent": "Yes"}
    for place, (task, prompt) in enumerate(prompts.items()):
        right = bool(rng.random() < 0.93)
        clean = float(rng.uniform(0.7, 0.99)) if right else 0.2
        answer = good[task] if right else bad[task]
        yield AblationRecord(
            image, number, who, task, prompt, "none", "", 0, "", 0, answer, right, clean, 2.0
        )
        for value in ("mean", "zero"):
            for selection, matched, n, tokens, loss in plans:
                rate = 0.02 if task == "poll-absent" else loss[place]
                still = bool(rng.random() >= rate) and right
                p = None if task == "describe" else clean if still else clean * 0.2
                yield AblationRecord(
                    *(image, number, who, task, prompt, selection, matched, n, value, tokens),
                    *(good[task] if still else bad[task], still, p, 1.0),
                )


def _knockout(
    rng: np.random.Generator, image: int, number: int, who: str
) -> Iterator[KnockoutRecord]:
    groups = {"object": 12, "object+1": 26, "all but object+1": 118, "all but last row": 132}
    for task, prompt in {"poll": f"Is there a {who}?", "ask": "What is it?"}.items():
        right = bool(rng.random() < 0.95)
        yield KnockoutRecord(
            *(image, number, who, task, prompt, "", "", "none", -1, -1, 0, 0),
            *(who, right, 0.9, 2.0),
        )
        for group, keys in groups.items():
            for target in ("last position", "last row"):
                if target == "last row" and group != "all but last row":
                    continue
                for window, (first, last) in (WINDOWS | {"all": (0, 7)}).items():
                    factor = 1.0 if group == "object+1" and task == "ask" else 0.1
                    loss = 0.01 if target == "last row" else WINDOW_LOSS[window] * factor
                    still = right and bool(rng.random() >= loss)
                    yield KnockoutRecord(
                        *(image, number, who, task, prompt, group, target, window, first, last),
                        *(keys, keys, who if still else "hat", still, 0.9 if still else 0.1, 1.0),
                    )
        for layer in range(8):
            for head in range(-1, 3):
                window = f"layer {layer}" if head < 0 else f"layer {layer} head {head}"
                drop = SWEEP_LOSS[layer] * (1.0 if head < 0 else head / 3)
                still = right and bool(rng.random() >= drop)
                yield KnockoutRecord(
                    *(image, number, who, task, prompt, "object+1", "last position", window),
                    *(layer, layer, 26, 26, who if still else "hat", still),
                    *(0.9 - drop + float(rng.normal(0, 0.02)), 1.0),
                    head=head,
                )


def _lens(rng: np.random.Generator, image: int, number: int, who: str) -> Iterator[LensRecord]:
    curve = np.array([0.0, 0.01, 0.03, 0.08, 0.2, 0.38, 0.52, 0.6, 0.4])
    for region, patches, scale in (("object", 12, 1.0), ("background", 100, 0.04)):
        for layer in range(LAYERS):
            strict = int(rng.binomial(patches, curve[layer] * scale))
            lenient = min(patches, strict + int(rng.binomial(patches, 0.05 * scale)))
            rank = float(200 * (1 - curve[layer] * scale) ** 4 + rng.random())
            yield LensRecord(
                *(image, number, who, region, layer, patches, strict, lenient),
                *(rank, -0.02 * rank - 0.1, 5.0 - 0.4 * layer + float(rng.normal(0, 0.2))),
            )


def _make_sheet(
    rng: np.random.Generator,
    title: str = "a.png",
    condition: str = "clean",
    grid: int = 12,
    layers: int = LAYERS,
    best: int = 5,
) -> LensSheet:
    side, n = 288, grid * grid
    rows, columns = np.divmod(np.arange(n), grid)
    step = side / grid
    boxes = np.stack([columns * step, rows * step, (columns + 1) * step, (rows + 1) * step], 1)
    middle = (grid / 3, grid / 1.6)
    distance = np.hypot(rows - middle[0], columns - middle[1])
    on = distance < grid / 5
    words = ("dog", " dog", "Dog", "cat", "grass", "sky", "the", ".", " tree", "ball", *NASTY)
    logits = rng.normal(0, 1, (layers, n, len(words)))
    depth = np.linspace(0, 1, layers)[:, None]
    if condition == "clean":
        logits[:, :, 0] += np.where(on, 7 * depth, -2)
    logits[:, :, 4] += np.where(rows > grid / 2, 4 * depth, 0)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    order = np.argsort(-p, axis=-1)
    top = order[:, :, :best]
    rank = np.argsort(order, axis=-1)[:, :, [0, 3]]
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    centre = ((middle[1] + 0.5) * step, (middle[0] + 0.5) * step)
    ring = tuple(
        (float(centre[0] + side / 5 * np.cos(t)), float(centre[1] + side / 5 * np.sin(t)))
        for t in turn
    )
    return LensSheet(
        title=title,
        prompt="Is there a dog in this image?",
        answer=NASTY[0] if condition != "clean" else "Yes",
        model="embedded",
        condition=condition,
        image=_picture(side, ring),
        size=(side, side),
        boxes=boxes.astype(np.float32),
        cells=np.stack([0 * rows, rows, columns], 1).astype(np.int32),
        vocabulary=words,
        top=top.astype(np.int32),
        probabilities=np.take_along_axis(p, top, -1).astype(np.float32),
        entropy=-(p * np.log(p)).sum(-1).astype(np.float32),
        tracked=("dog", "cat"),
        tracked_log_probability=np.log(p[:, :, [0, 3]]).transpose(2, 0, 1).astype(np.float32),
        tracked_rank=rank.transpose(2, 0, 1).astype(np.int32),
        objects=(ObjectOutline("dog", (ring,), tuple(int(t) for t in np.flatnonzero(on))),),
    )


def _picture(side: int, ring: tuple[tuple[float, float], ...]) -> bytes:
    image = Image.new("RGB", (side, side), (150, 190, 225))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, side // 2, side, side), fill=(96, 150, 80))
    draw.polygon(list(ring), fill=(190, 130, 70), outline=(90, 50, 20))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
