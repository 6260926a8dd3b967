"""Small folders in the formats of benchmarks, put on disk for the tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from retinoscope.data import Dataset, open_data

FORMATS = Path(__file__).parent / "formats"
SIZES = {"gqa": (60, 40), "clevr": (160, 120), "panoptic": (40, 30)}
IMAGES = {
    "gqa": ("images/2405722.jpg", "images/n161313.jpg"),
    "clevr": ("images/val/CLEVR_val_000000.png",),
    "vsr": ("images/000000050403.jpg",),
    "whatsup": (
        "controlled_images/mug_left_of_book.jpeg",
        "controlled_images/mug_on_book.jpeg",
        "val2017/000000000139.jpg",
    ),
    "pope": ("val2014/COCO_val2014_000000310196.jpg",),
    "tallyqa": ("VG_100K_2/1.jpg", "images/val2014/COCO_val2014_000000000001.jpg"),
    "panoptic": ("val2017/000000000139.jpg",),
}
FILES = {
    "gqa": "val_balanced_questions.json",
    "clevr": "questions/CLEVR_val_questions.json",
    "vsr": "test.jsonl",
    "whatsup": "controlled_images_dataset.json",
    "pope": "coco_pope_random.json",
    "tallyqa": "test.json",
    "panoptic": "annotations/panoptic_val2017.json",
}

Make = Callable[[str], Path]


def written(kind: str, root: Path) -> Path:
    """A format's files, and small images, in a folder."""
    shutil.copytree(FORMATS / kind, root)
    for name in IMAGES[kind]:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZES.get(kind, (32, 24)), "teal").save(path)
    if kind == "panoptic":
        numbers = np.zeros((30, 40, 3), np.uint8)
        numbers[10:30, 5:15] = [3226956 >> shift & 255 for shift in (0, 8, 16)]
        numbers[:10] = [3, 2, 1]
        folder = root / "annotations" / "panoptic_val2017"
        folder.mkdir()
        Image.fromarray(numbers).save(folder / "000000000139.png")
    return root


def opened(kind: str, root: Path) -> Dataset:
    return open_data(f"{kind}:{root / FILES[kind] if kind == 'whatsup' else root}")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
