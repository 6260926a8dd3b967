"""A COCO folder with every oddity that real ones have, for a model that sees squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.coco_folder import CocoFolder, square

CATEGORIES = [
    {"id": 17, "name": "cat"},
    {"id": 18, "name": "dog"},
    {"id": 10, "name": "traffic light"},
    {"id": 53, "name": "apple"},
]
WIDTH, HEIGHT, SIDE = 80, 60, 34
ORIENTATION = 0x0112

READABLE = (139, 285, 632, 724, 776, 785, 885, 1000, 1268)
"""Images whose object can be read; that of 1268 lies outside the crop."""

OUTSIDE = 1268
UNREADABLE = {802: "truncated or broken", 872: "no such image", 1296: "run lengths"}
"""Images that can't be used, and what their error says."""


def noise(seed: int, shape: tuple[int, ...] = (HEIGHT, WIDTH, 3)) -> np.ndarray:
    """Random 8-bit pixels."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write(root: Path) -> Path:
    """Twelve images with ids that are not contiguous, and one fitting object in each."""
    folder = CocoFolder(root, split="val2017", categories=CATEGORIES)
    _odd_images(folder)
    names = {17: "cat", 18: "dog", 10: "traffic light", 53: "apple"}
    for number, image_id in enumerate((139, 285, 632, 724, 776, 785, 802, 872, 885)):
        category = list(names)[number % len(names)]
        _object(folder, image_id, 20, category)
    # A crowd beside the object of 885: it counts as an annotation and is never chosen.
    crowd = {"size": [HEIGHT, WIDTH], "counts": [100, 1500, HEIGHT * WIDTH - 1600]}
    folder.object(9001, 885, crowd, category_id=18, iscrowd=1, area=1500)
    # In a wide image the model sees the middle: 1000's object is cut by the crop's edge, its
    # outline reaches out of the image too; 1268's is not seen at all.
    outline = [[-5, 12, 64, 12, 64, 46, -5, 46]]
    folder.object(1000, 1000, outline, category_id=18, area=1500, bbox=[0, 12, 64, 34])
    folder.object(1268, OUTSIDE, square(2, 12, SIDE), category_id=17, area=SIDE**2)
    folder.object(1296, 1296, {"size": [7, 7], "counts": [9, 40]}, category_id=17, area=1200)
    # What the filter leaves out: too small, too large, too many.
    folder.image(2000, Image.fromarray(noise(20)))
    for number, area in enumerate((50, 5000, 1500, 1500)):
        folder.object(2000 + number, 2000, square(5, 5, 30), area=area)
    return folder.write()


def _object(folder: CocoFolder, image_id: int, x: int, category: int) -> None:
    folder.object(
        image_id,
        image_id,
        square(x, 12, SIDE),
        category_id=category,
        area=SIDE**2,
        bbox=[x, 12, SIDE, SIDE],
    )


def _odd_images(folder: CocoFolder) -> None:
    colour = Image.fromarray(noise(1))
    folder.image(139, colour, "000000000139.jpg")
    folder.image(285, Image.fromarray(noise(2, (HEIGHT, WIDTH))), "000000000285.jpg")
    folder.image(632, colour.convert("CMYK"), "000000000632.jpg")
    folder.image(724, Image.fromarray(noise(4)).quantize(16), "000000000724.png")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    lying = Image.fromarray(noise(5, (WIDTH, HEIGHT, 3)))
    folder.image(776, lying, "000000000776.jpg", exif=exif)
    folder.images[-1] |= {"width": WIDTH, "height": HEIGHT}
    deep = np.random.default_rng(6).integers(0, 2**16, (HEIGHT, WIDTH), dtype=np.uint16)
    folder.image(785, Image.fromarray(deep), "000000000785.png")
    broken = folder.image(802, Image.fromarray(noise(7)), "000000000802.jpg")
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    folder.image(872, Image.fromarray(noise(8)), "000000000872.jpg").unlink()
    folder.image(885, Image.fromarray(noise(9)), "000000000885.jpg")
    wide = (HEIGHT, 2 * WIDTH, 3)
    folder.image(1000, Image.fromarray(noise(10, wide)), "000000001000.jpg")
    folder.image(OUTSIDE, Image.fromarray(noise(11, wide)), "000000001268.jpg")
    folder.image(1296, Image.fromarray(noise(12)), "000000001296.jpg")
