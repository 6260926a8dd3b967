"""Images that are read ahead are the images, in their order, with their errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from retinoscope.data import Sample, load_image
from retinoscope.data.ahead import AHEAD, read_ahead
from retinoscope.errors import SampleError


def samples(folder: Path, count: int) -> list[Sample]:
    for number in range(count):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / f"{number}.png")
    return [Sample(number, folder / f"{number}.png", 8, 8) for number in range(count)]


def test_images_come_in_order_and_errors_where_they_are_asked_for(tmp_path: Path) -> None:
    given = samples(tmp_path, 12)
    given[5] = replace(given[5], path=tmp_path / "gone.png")
    for sample, coming in zip(given, read_ahead(given, load_image), strict=True):
        if sample.image_id == 5:
            with pytest.raises(SampleError, match="no such image"):
                coming.result()
        else:
            assert coming.result().getpixel((0, 0)) == (sample.image_id, 0, 0)


def test_a_few_are_read_ahead_and_no_more(tmp_path: Path) -> None:
    taken = []

    def noted() -> Iterator[Sample]:
        for sample in samples(tmp_path, 20):
            taken.append(sample)
            yield sample

    coming = read_ahead(noted(), load_image)
    next(coming).result()
    assert len(taken) == AHEAD + 1
    coming.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("read-ahead")]
