"""What `retinoscope look` prints of a name that is console markup."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from retinoscope.experiments.knockout import one_object as of_knockout
from retinoscope.experiments.knockout.records import KnockoutRecord
from retinoscope.experiments.lens import one_object as of_lens
from retinoscope.experiments.lens.records import LensRecord


@pytest.mark.parametrize("name", ["[/red]", "[bold]dog", "[link=x]"])
def test_a_name_is_text_and_never_markup(name: str) -> None:
    rows = [
        LensRecord(1, 1, name, region, layer, 4, 1, 2, 3.0, -1.0, 2.0)
        for region in ("object", "background")
        for layer in range(2)
    ]
    cut = KnockoutRecord(
        image_id=1,
        object_id=1,
        class_name=name,
        task="ask",
        prompt="What is it?",
        group="object",
        target="last position",
        window="all",
        first_layer=0,
        last_layer=1,
        keys=4,
        edges=4,
        answer=name,
        right=True,
        probability=0.5,
        margin=1.0,
        right_original=None,
        top_probability=0.5,
        head=-1,
    )
    stream = io.StringIO()
    console = Console(file=stream, width=120, color_system=None)
    console.print(of_lens._table(rows))
    console.print(of_knockout._table([cut]))
    assert stream.getvalue().count(name) >= 3
