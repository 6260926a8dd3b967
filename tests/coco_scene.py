"""A small COCO folder of random pictures for the tiny model, with objects and questions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("dog", "cat", "apple", "car")


def write(root: Path, images: int = 4, size: tuple[int, int] = (84, 70)) -> Path:
    """Each image holds two objects, one patch and four patches large, of different classes."""
    width, height = size
    drawn = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "annotations").mkdir()
    annotations, questions, entries = [], {}, []
    for index in range(1, images + 1):
        name = f"{index:06d}.png"
        pixels = drawn.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / name)
        entries.append({"id": index, "file_name": name, "width": width, "height": height})
        for turn, (x, y, side) in enumerate(((14, 14, 20), (48, 40, 34))):
            identity = 10 * index + turn
            category = (index + turn) % len(NAMES)
            annotations.append(
                {
                    "id": identity,
                    "image_id": index,
                    "category_id": 7 * category + 3,
                    "bbox": [x, y, side, side],
                    "area": side * side,
                    "iscrowd": 0,
                    "segmentation": [[x, y, x + side, y, x + side, y + side, x, y + side]],
                }
            )
            questions.setdefault(str(index), []).append(
                {
                    "question": "What is at the left ?" if turn == 0 else "What is at the right ?",
                    "answer": f"It is a {NAMES[category]}.",
                    "kind": "position",
                    "word": NAMES[category],
                    "annotation_id": identity,
                }
            )
    categories = [{"id": 7 * i + 3, "name": name} for i, name in enumerate(NAMES)]
    instances = {"images": entries, "annotations": annotations, "categories": categories}
    (root / "annotations" / "instances.json").write_text(json.dumps(instances))
    (root / "annotations" / "questions.json").write_text(json.dumps(questions))
    return root
