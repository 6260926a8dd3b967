"""Files of models that are attacked: checkpoints, means, lenses, chat templates."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import tiny
import torch
from PIL import Image
from safetensors.torch import save

from retinoscope.lens import FittedLens, read_fitted, write_fitted
from retinoscope.models import Checkpoint, encode, load, mean_from_file
from retinoscope.models.mean_sums import MeanSums, read_sums, with_image, write_sums
from tests.attack.target import Target, values


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

    return Target([(name, values(name, text)) for name, text in known.items()], look)


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
