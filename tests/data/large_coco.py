"""A COCO instances file of the size of the training split, written without holding it.

Run as a program with its folder, it indexes, fingerprints and filters it, and prints its counts and
the peak of its memory in bytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from retinoscope.data import open_data, select
from retinoscope.data.fingerprint import fingerprint
from retinoscope.data.generated_questions import with_questions
from tests.models.memory import highest


def write(folder: Path, images: int, annotations: int) -> Path:
    """Write it; of the images the first alone is there.

    Returns:
        The instances file, of some 600 bytes for each annotation.
    """
    drawn = np.random.default_rng(0)
    path = folder / "annotations" / "instances.json"
    for there in (path.parent, folder / "images"):
        there.mkdir(parents=True)
    Image.new("RGB", (640, 480)).save(folder / "images" / f"{0:012d}.jpg")
    with path.open("w") as file:
        file.write('{"info": {}, "images": [')
        for i in range(images):
            url = f"http://images.cocodataset.org/train2017/{i:012d}.jpg"
            image = {"id": i, "file_name": f"{i:012d}.jpg", "coco_url": url}
            file.write("," * (i > 0) + json.dumps(image | {"height": 480, "width": 640}))
        classes = [{"id": k, "name": f"thing {k}", "supercategory": "thing"} for k in range(80)]
        file.write(f'], "categories": {json.dumps(classes)}, "annotations": [')
        for i in range(annotations):
            outline = (drawn.random(2 * drawn.integers(6, 50)) * 400).round(2).tolist()
            item = {"id": i + 1, "image_id": int(drawn.integers(images)), "iscrowd": 0}
            item |= {"category_id": int(drawn.integers(80)), "area": drawn.random() * 5000}
            item |= {"segmentation": [outline], "bbox": [1.5, 2.5, 30.25, 40.5]}
            file.write("," * (i > 0) + json.dumps(item))
        file.write("]}")
    return path


if __name__ == "__main__":
    dataset = open_data(f"coco:{sys.argv[1]}")
    fingerprint(dataset)
    chosen = select(dataset)
    with_questions(dataset, chosen.candidates)
    print(len(dataset.samples), sum(len(sample.annotations) for sample in dataset.samples))
    print(chosen.kept)
    print(highest())
