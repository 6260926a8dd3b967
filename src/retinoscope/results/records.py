"""The rows that experiments write, one frozen dataclass for each table.

A record is one measured fact about one object (or image) under one condition.
Nothing here is aggregated; the tables and figures of a report are made from
these rows alone. Every field is a plain number, string or None, so that a list
of records is a data frame.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retinoscope.errors import RegistrationError
from retinoscope.results.experiment import experiments

TASKS = ("describe", "poll", "ask")
"""Task names in the order of the paper's tables."""


@dataclass(frozen=True)
class CurationRecord:
    """Whether one object passed curation (paper, section 3.1) and, if not, why.

    Attributes:
        image_id: the data set's image id.
        object_id: the data set's annotation id.
        class_name: the category's name.
        named_whole: the description of the whole image names the object.
        named_noised: a description with the object's pixels replaced by noise names it.
        kept: named_whole and not named_noised.
        area: the object's area in pixels of the original image.
        object_tokens: visual tokens on the object (no buffer).
        answer_whole: the description of the whole image; " …" at its end as in AblationRecord.
        answer_noised: the description of the noised image ("" when it was not asked).
    """

    image_id: int
    object_id: int
    class_name: str
    named_whole: bool
    named_noised: bool
    kept: bool
    area: float
    object_tokens: int
    answer_whole: str
    answer_noised: str


@dataclass(frozen=True)
class SkippedRecord:
    """One sample or condition that was not measured, and why.

    Attributes:
        experiment: where it was skipped ("data", "mean visual token", "curation", ...).
        image_id, object_id: the sample; object_id is -1 for a whole image, image_id too for a
            file that is no sample of the data.
        condition: the condition, or "" for the whole sample.
        reason: one sentence.
    """

    experiment: str
    image_id: int
    object_id: int
    condition: str
    reason: str


Record = Any
"""A row: any of the dataclasses that `tables` names."""


@functools.cache
def tables() -> Mapping[str, type]:
    """Table name -> record type; a table is stored as records/<name>.parquet.

    Those of curation and of what was skipped, and between them the experiments'.

    Raises:
        RegistrationError: two experiments write a table of the same name.
    """
    found: dict[str, type] = {"curation": CurationRecord}
    for experiment in experiments().values():
        for table, record in experiment.records.items():
            if table in found or table == "skipped":
                raise RegistrationError(
                    f"The experiment {experiment.name!r} writes a table {table!r}, but there is "
                    "one already. Give it another name."
                )
            found[table] = record
    return found | {"skipped": SkippedRecord}


def table_of(record: Record) -> str:
    """The table that a record belongs to.

    Raises:
        TypeError: it belongs to none.
    """
    for table, kind in tables().items():
        if type(record) is kind:
            return table
    raise TypeError(f"{type(record).__name__} is not a row of {', '.join(tables())}")
