"""What is read from files of anybody's: whole examples of each, and how each is read through."""

from __future__ import annotations

import functools
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from PIL import Image
from safetensors.torch import save

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
from retinoscope.errors import DamagedError, DataError, SampleError
from retinoscope.lens import FittedLens, read_fitted, write_fitted
from retinoscope.models import Checkpoint, encode, load, mean_from_file
from retinoscope.models.mean_sums import MeanSums, read_sums, with_image, write_sums
from retinoscope.results.manifest import check_same, read_manifest, write_manifest
from retinoscope.results.sheet import load_sheet, save_sheet
from retinoscope.results.store import Store, append, consolidate, read, so_far
from tests.data.coco_folder import CocoFolder, square
from tests.data.test_readers import FILES, written
from tests.results.test_sheet import sheet
from tests.results.test_store import CONFIGURATION, lens, manifest, skipped


@dataclass(frozen=True)
class Target:
    """Something that is read.

    Attributes:
        whole: examples: bytes, or JSON values; of a folder's files, each with its name.
        read: reads one through, or raises one of our own errors; of a folder's files it is given
            the name in a line before the content.
    """

    whole: Sequence[Any]
    read: Callable[[bytes], object]


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

    return Target([(name, _values(name, text)) for name, text in known.items()], look)


def _values(name: str, content: bytes) -> Any:
    """A file's content, as values where it is JSON."""
    return json.loads(content) if name.endswith(".json") else content


def _store(folder: Path) -> Store:
    store = Store(folder / "run", manifest().key)
    write_manifest(store.run, manifest(status="complete"))
    append(store, "lens", "7-1", [lens(7, rank) for rank in (1.0, 2.5)])
    append(store, "skipped", "lens-7-1", [skipped(7)])
    consolidate(store)
    return store


def manifests(folder: Path) -> Target:
    run, before = _store(folder).run, manifest(status="complete")
    place = run / "manifest.json"

    def look(content: bytes) -> None:
        place.write_bytes(content)
        assert read_manifest(run) == before
        check_same(run, CONFIGURATION)

    return Target([json.loads(place.read_text()), place.read_bytes()], look)


def parts(folder: Path) -> Target:
    store = _store(folder)
    place, before = store.run / "records/.parts/lens/7-1.part", so_far(store, "lens")

    def look(content: bytes) -> None:
        place.write_bytes(content)
        found = so_far(store, "lens")
        if found.is_empty():
            raise DamagedError("left out, so that it is measured anew")
        assert found.equals(before)

    return Target([place.read_bytes()], look)


def records(folder: Path) -> Target:
    store = _store(folder)
    before = read(store.run)["lens"]
    files = {name: store.run / "records" / name for name in ("lens.parquet", "SHA256SUMS")}
    known = {name: path.read_bytes() for name, path in files.items()}

    def look(content: bytes) -> None:
        name = "SHA256SUMS" if content[:2] == b"# " else "lens.parquet"
        files[name].write_bytes(content)
        try:
            assert read(store.run)["lens"].equals(before)
        finally:
            files[name].write_bytes(known[name])

    return Target([*known.values()], look)


def sheets(folder: Path) -> Target:
    place = folder / "1.npz"
    save_sheet(place, sheet(), "k")

    def look(content: bytes) -> None:
        place.write_bytes(content)
        found = load_sheet(place, "k")
        assert np.array_equal(found.top, sheet().top) and found.answer == sheet().answer

    return Target([place.read_bytes()], look)


@functools.cache
def _checkpoint() -> Checkpoint:
    return load(tiny.save(Path(tempfile.mkdtemp(prefix="attacked-"))))


def means(folder: Path) -> Target:
    from retinoscope.models import MeanToken, write_mean

    vector = torch.linspace(-1, 1, tiny.WIDTH)
    write_mean(MeanToken(vector, vector.abs(), 4, 16), folder / "mean.safetensors")
    torch.save(vector, folder / "mean.pt")
    np.save(folder / "mean.npy", vector.numpy())
    kinds = {b"PK": ".pt", b"\x93N": ".npy"}

    def look(content: bytes) -> None:
        place = folder / f"read{kinds.get(content[:2], '.safetensors')}"
        place.write_bytes(content)
        assert mean_from_file(_checkpoint(), place).isfinite().all()

    paths = [folder / f"mean{ending}" for ending in (".safetensors", ".pt", ".npy")]
    return Target([*(path.read_bytes() for path in paths), save({"mean": vector})], look)


def sums(folder: Path) -> Target:
    place = folder / "a.sums.safetensors"
    write_sums(replace(with_image(MeanSums(), torch.ones(4, 8)), skipped=("a: broken",)), place)
    before = read_sums(place)

    def look(content: bytes) -> None:
        place.write_bytes(content)
        assert read_sums(place).place == before.place

    return Target([place.read_bytes()], look)


def lenses(folder: Path) -> Target:
    place = folder / "a.safetensors"
    tensors = {"matrices": torch.ones(2, 4, 4), "biases": torch.zeros(2, 4)}
    write_fitted(FittedLens("tuned-visual", tensors, "a model", {"data": "embedded"}), place)

    def look(content: bytes) -> None:
        place.write_bytes(content)
        found = read_fitted(place)
        assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)

    return Target([place.read_bytes()], look)


def checkpoints(folder: Path) -> Target:
    """Each file of a model folder in turn."""
    root = tiny.save(folder / "model")
    known = {path.name: path.read_bytes() for path in root.iterdir()}

    def look(content: bytes) -> None:
        name, _, rest = content.partition(b"\n")
        place = root / name.decode()
        place.write_bytes(rest)
        try:
            checkpoint = load(root)
            encode(checkpoint, Image.new("RGB", (20, 20)), "What is this?")
        finally:
            place.write_bytes(known[place.name])

    return Target([(name, _values(name, text)) for name, text in known.items()], look)


TEMPLATE = """{%- for message in messages -%}
{{ message['role'] | upper + ': ' }}
{%- for part in message['content'] if part.type == 'image' -%}{{ '<image>' }}{%- endfor -%}
{%- for part in message['content'] if part.type == 'text' -%}
{{ ' ' ~ part['text'] | trim }}{%- endfor -%}
{%- set ns = namespace(n=0) -%}{%- set ns.n = ns.n + loop.index * 2 -%}
{%- endfor -%}{%- if add_generation_prompt -%}{{ ' ASSISTANT:' }}{%- endif -%}"""


def templates(folder: Path) -> Target:
    checkpoint = _checkpoint()

    def look(content: bytes) -> None:
        checkpoint.processor.chat_template = content.decode("utf-8", "replace")
        try:
            encode(checkpoint, Image.new("RGB", (20, 20)), "What is this?")
        finally:
            checkpoint.processor.chat_template = None

    return Target([TEMPLATE.encode()], look)


TARGETS: Mapping[str, tuple[int, Callable[[Path], Target]]] = {
    "images": (4000, images),
    "masks": (600, masks),
    "uploads": (1400, uploads),
    "COCO files": (1500, coco),
    "questions": (500, questions),
    "object tables": (500, objects),
    **{kind: (120, functools.partial(benchmark, kind)) for kind in FILES},
    "manifests": (500, manifests),
    "parts": (300, parts),
    "records": (300, records),
    "lens sheets": (300, sheets),
    "mean tokens": (400, means),
    "mean sums": (150, sums),
    "fitted lenses": (300, lenses),
    "checkpoints": (250, checkpoints),
    "chat templates": (300, templates),
}
"""How many mutated inputs of each, and what it is."""
