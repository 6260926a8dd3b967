"""Read a folder's table of objects: `objects.csv` or `objects.json`.

The CSV has a header and a row for each object: `image,class,x,y,width,height,mask`. `image` and
`mask` are paths under the folder; a row has either the four numbers, in pixels of the upright
image, or a mask. Columns that no row needs may be left out. The JSON is a list of objects with
the same fields.
"""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from retinoscope.data.mask_files import UNNAMED
from retinoscope.data.names import checked_name
from retinoscope.data.reading import is_there, parse_json
from retinoscope.data.samples import Box
from retinoscope.errors import DataError

SIDES = ("x", "y", "width", "height")


@dataclass(frozen=True)
class ObjectRow:
    """One object of an image: its class, and either its box or the path of its mask."""

    class_name: str
    box: Box | None
    mask: Path | None


def read_objects(root: Path) -> dict[str, list[ObjectRow]]:
    """The folder's objects table, by the image's path under the folder; empty where there is none.

    Raises:
        DataError: both a CSV and a JSON are there, or the one there is malformed.
    """
    present = [path for path in (root / "objects.csv", root / "objects.json") if is_there(path)]
    if not present:
        return {}
    if len(present) > 1:
        raise DataError(f"{root}: both objects.csv and objects.json. Keep one of them.")
    path = present[0]
    try:
        text = path.read_bytes().decode("utf-8-sig")
        entries = _csv_entries(text) if path.suffix == ".csv" else parse_json(text)
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: can't be read ({error}). Save it as UTF-8.") from error
    if not isinstance(entries, list):
        raise DataError(f"{path}: expected a list of objects. See the folder layout.")
    rows: defaultdict[str, list[ObjectRow]] = defaultdict(list)
    for number, entry in enumerate(entries, start=1):
        try:
            rows[_inside(entry["image"])].append(_row(root, entry))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{path}: object {number}: {error!r}. Expected image, class and either x, y, "
                "width, height in pixels or mask."
            ) from error
    return dict(rows)


def _csv_entries(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(text), strict=True))


def _row(root: Path, entry: dict[str, Any]) -> ObjectRow:
    name = checked_name(str(entry.get("class") or UNNAMED).strip())
    given = [side for side in SIDES if entry.get(side) not in (None, "")]
    mask = entry.get("mask") or None
    if (mask is None) == (not given):
        raise ValueError("give either a box or a mask")
    if mask is not None:
        return ObjectRow(name, None, root / _inside(mask))
    x, y, width, height = (float(entry[side]) for side in SIDES)
    if not all(map(math.isfinite, (x, y, width, height))):
        raise ValueError("a box holds a number that is not finite")
    return ObjectRow(name, (x, y, width, height), None)


def _inside(name: Any) -> str:
    """A path under the folder, in its usual form."""
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{name!r} is not a path")
    path = PurePosixPath(name.strip())
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leaves the folder")
    return path.as_posix()
