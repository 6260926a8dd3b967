"""Files of data that are attacked: images, masks, annotations, questions, benchmarks."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from retinoscope.app import Limits
from retinoscope.app.pictures import read_upload
from retinoscope.data import (
    ANY_SIZE,
    Dataset,
    load_image,
    object_mask,
    open_data,
    open_image,
    select,
)
from retinoscope.data.images import FORMATS, image_size
from retinoscope.data.masks import mask_image
from retinoscope.errors import DataError, SampleError
from tests.attack.target import Target, values
from tests.data.coco_folder import CocoFolder, square
from tests.data.formats_folder import FILES, written


def _pictures(kinds: Sequence[str]) -> list[bytes]:
    """A small picture in each format, in several modes where it has them."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 4), dtype=np.uint8)
    colour = Image.fromarray(pixels[..., :3])
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    modes = [colour, colour.convert("L"), Image.fromarray(pixels), colour.quantize(8), deep]
    found = []
    for kind in kinds:
        for image in modes:
            stream = io.BytesIO()
            try:
                image.save(stream, kind)
            except (OSError, ValueError):
                continue  # a format without that mode
            found.append(stream.getvalue())
    return found


def images(folder: Path) -> Target:
    def look(content: bytes) -> None:
        (folder / "a.img").write_bytes(content)
        assert open_image(content).mode == "RGB"
        assert min(image_size(folder / "a.img")) > 0

    Image.init()
    return Target(_pictures([kind for kind in FORMATS if kind in Image.SAVE]), look)


def masks(folder: Path) -> Target:
    def look(content: bytes) -> None:
        (folder / "a.mask.png").write_bytes(content)
        assert mask_image(folder / "a.mask.png").ndim == 2

    return Target(_pictures(["PNG", "TIFF"]), look)


def uploads(folder: Path) -> Target:
    def look(content: bytes) -> None:
        assert read_upload(content, "a.png", Limits(pixels=10_000)).image.width > 1

    return Target(_pictures(["PNG", "JPEG", "WEBP", "GIF", "BMP"]), look)


def _through(dataset: Dataset) -> None:
    """Everything that a run reads of a data set; what is wrong with one sample costs that one."""
    for sample in dataset.samples:
        try:
            load_image(sample)
        except SampleError:
            continue
        for thing in sample.annotations:
            try:
                assert object_mask(sample, thing).any()
            except SampleError:
                continue
    try:
        select(dataset, ANY_SIZE)
    except DataError as error:
        assert not isinstance(error, SampleError)


def _coco_folder(folder: Path) -> CocoFolder:
    coco = CocoFolder(folder / "coco")
    for number in (1, 2):
        coco.image(number, Image.new("RGB", (40, 30), "teal"))
    coco.object(1, 1, square(5, 5, 10), attributes=["red"], amodal_segmentation=square(5, 5, 12))
    coco.object(2, 1, {"size": [30, 40], "counts": [100, 50, 1050]}, category_id=10)
    coco.object(3, 2, {"size": [30, 40], "counts": "0h0h0"}, iscrowd=1)
    coco.images[0]["relations"] = [{"subject": 1, "name": "left of", "object": 2}]
    coco.write()
    return coco


def coco(folder: Path) -> Target:
    made = _coco_folder(folder)

    def look(content: bytes) -> None:
        made.instances.write_bytes(content)
        _through(open_data(f"coco:{made.root}"))

    return Target([json.loads(made.instances.read_text())], look)


def questions(folder: Path) -> Target:
    made = _coco_folder(folder)
    place = made.root / "annotations" / "questions.json"
    own = {"question": "What is at the left?", "answer": "It is a dog.", "kind": "position"}
    own |= {"word": "dog", "annotation_id": 1, "choices": ["a", "b"]}
    step = {"op": "query", "argument": "name", "annotation_ids": [1], "inputs": []}
    own |= {"steps": [step, step | {"inputs": [0]}]}

    def look(content: bytes) -> None:
        place.write_bytes(content)
        _through(open_data(f"coco:{made.root}"))

    return Target([{"1": [own, "And here?"], "2": "What is this?"}], look)


def objects(folder: Path) -> Target:
    root = folder / "pictures"
    root.mkdir()
    Image.new("RGB", (40, 30), "teal").save(root / "a.png")
    Image.new("L", (40, 30), "white").save(root / "m.mask.png")
    rows = [
        {"image": "a.png", "class": "dog", "x": 1, "y": 2, "width": 10, "height": 9},
        {"image": "a.png", "class": "traffic light", "mask": "m.mask.png"},
    ]
    table = (
        'image,class,x,y,width,height,mask\na.png,dog,1,2,10,9,\na.png,"cat, old",,,,,m.mask.png\n'
    )

    def look(content: bytes) -> None:
        name = "objects.json" if content[:1] == b"[" else "objects.csv"
        (root / name).write_bytes(content)
        try:
            _through(open_data(f"folder:{root}"))
        finally:
            (root / name).unlink()

    return Target([rows, table.encode()], look)


def benchmark(kind: str, folder: Path) -> Target:
    """A benchmark's questions, or another JSON beside them."""
    root = written(kind, folder / kind)
    file = root / FILES[kind]
    known = {path.name: path.read_bytes() for path in root.rglob("*.json*")}
    places = {path.name: path for path in root.rglob("*.json*")}

    def look(content: bytes) -> None:
        name, _, rest = content.partition(b"\n")
        place = places[name.decode()]
        place.write_bytes(rest)
        try:
            _through(open_data(f"{kind}:{file}"))
        finally:
            place.write_bytes(known[place.name])

    return Target([(name, values(name, text)) for name, text in known.items()], look)
