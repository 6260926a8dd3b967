"""Build small COCO folders on disk for the tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask


@dataclass
class CocoFolder:
    """A COCO folder in the making; `write` puts it on disk."""

    root: Path
    split: str = ""
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": 18, "name": "dog"}, {"id": 10, "name": "traffic light"}]
    )

    @property
    def image_folder(self) -> Path:
        """Where `image` saves."""
        return self.root / (self.split or "images")

    @property
    def instances(self) -> Path:
        """Where `write` writes."""
        name = f"instances_{self.split}.json" if self.split else "instances.json"
        return self.root / "annotations" / name

    def image(self, image_id: int, picture: Image.Image, name: str = "", **save: Any) -> Path:
        """Save an image and list it."""
        path = self.image_folder / (name or f"{image_id:06d}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, **save)
        width, height = picture.size
        self.images.append(
            {"id": image_id, "file_name": path.name, "width": width, "height": height}
        )
        return path

    def object(self, object_id: int, image_id: int, segmentation: Any, **fields: Any) -> None:
        """List an annotation; a dog of 1500 pixels unless said otherwise."""
        self.annotations.append(
            {
                "id": object_id,
                "image_id": image_id,
                "category_id": 18,
                "area": 1500.0,
                "bbox": [0, 0, 10, 10],
                "iscrowd": 0,
                "segmentation": segmentation,
            }
            | fields
        )

    def write(self, **extra: Any) -> Path:
        """Write the instances JSON and return the folder."""
        self.instances.parent.mkdir(parents=True, exist_ok=True)
        tables = {
            "info": {"description": "a test"},
            "images": self.images,
            "annotations": self.annotations,
            "categories": self.categories,
        }
        self.instances.write_text(json.dumps(tables | extra))
        return self.root


def square(x: float, y: float, side: float) -> list[list[float]]:
    """A square as COCO polygons."""
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def two_images(root: Path) -> CocoFolder:
    """Two images with ids that are not contiguous and three annotations."""
    folder = CocoFolder(root)
    folder.image(581929, Image.new("RGB", (40, 30), "red"))
    folder.image(42, Image.new("L", (20, 20), 99))
    folder.object(900, 42, square(2, 3, 5), category_id=10, area=25.0, bbox=[2, 3, 5, 5])
    folder.object(7, 581929, {"size": [30, 40], "counts": [100, 50, 1050]}, iscrowd=1)
    mask = np.zeros((30, 40), np.uint8, order="F")
    mask[4:8, 5:9] = 1
    counts = coco_mask.encode(mask)["counts"]
    counts = counts if isinstance(counts, str) else counts.decode()
    folder.object(8, 581929, {"size": [30, 40], "counts": counts}, area=16)
    return folder
