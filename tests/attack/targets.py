"""Everything that is read from files of anybody's, and how often it is attacked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.attack.data_files import benchmark, coco, images, masks, objects, questions, uploads
from tests.attack.model_files import checkpoints, lenses, means, sums, templates
from tests.attack.run_files import manifests, parts, records, sheets
from tests.attack.target import Target
from tests.data.formats_folder import FILES

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
