"""What is known of every image-text-to-text class of transformers: made by a test, read here."""

from __future__ import annotations

import functools
import importlib.resources
import json
from dataclasses import dataclass

FILE = "support.json"
"""The list, beside this module; `python -m tests.models.survey` in a checkout makes it."""

WORKS = "works"
FALLS_BACK = "falls back"
UNPLACED = "unplaced"
REFUSED = "refused"
UNTRIED = "not tried"

MEANING = {
    WORKS: "conditions are replayed, equal to the full forward pass; the token map is proved",
    FALLS_BACK: "each condition is a full forward pass of the model, as slow as plain hooks",
    UNPLACED: "runs; its visual tokens can be selected all together or by position, not by pixels",
    REFUSED: "can't be looked into",
    UNTRIED: "no tiny model of it is made in the tests; `retinoscope check` asks a model of yours",
}
"""What each status says of a class, in the order in which they are listed."""


@dataclass(frozen=True)
class Support:
    """One class of transformers, as the survey found it on a tiny random-weight model.

    Attributes:
        model_type: `config.model_type` of its checkpoints.
        class_name: the class.
        status: one of MEANING's.
        reason: why it is not more than that; "" where nothing is missing.
        sites: which activations can be read and written; "" where no model was run.
    """

    model_type: str
    class_name: str
    status: str
    reason: str = ""
    sites: str = ""


@functools.cache
def supported() -> tuple[Support, ...]:
    """Every class of the image-text-to-text mapping of the transformers that the list is made of.

    Sorted by status, then by model type.
    """
    text = importlib.resources.files("retinoscope.models").joinpath(FILE).read_text("utf-8")
    rows = [Support(**row) for row in json.loads(text)]
    order = list(MEANING)
    return tuple(sorted(rows, key=lambda row: (order.index(row.status), row.model_type)))
