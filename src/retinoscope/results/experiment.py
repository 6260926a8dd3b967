"""An experiment as it is declared: its name, its rows, and where its code is."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from retinoscope.errors import RegistrationError
from retinoscope.registry import load, members, registered
from retinoscope.results.own_settings import OwnSettings, without_default

GROUP = "retinoscope.experiments"
"""The package that holds our own experiments, and the entry points' group of others'."""

LAST = 100
"""The place of an experiment that asks for none."""


@dataclass(frozen=True)
class Sheets:
    """Lens sheets that an experiment writes of the first objects, beside its records.

    Attributes:
        read: "module:function" of (bench, target) -> LensSheet.
        suffix: what stands behind the image id in the file's name; "@..." is compared with the
            sheet that has none.
        most: how many objects get one; None is as many as the run was asked for.
    """

    read: str
    suffix: str = ""
    most: int | None = None


@dataclass(frozen=True)
class Experiment:
    """One experiment; each is one folder with an EXPERIMENT constant.

    Addresses are texts, "module:name", so that a report never imports what needs torch.

    Attributes:
        name: what people type; also its first table's.
        question: what it asks, in a line.
        records: table name -> its rows' frozen dataclass, with image_id and object_id; every field
            a plain number, text, bool or None.
        measure: of a function (bench, target) -> the target's records, in any order;
            SkippedRecords among them say what could not be measured. See
            `retinoscope.experiments.Bench` and `Target`.
        report: of a `retinoscope.report.parts.Report`: what is made of the records.
        settings: the dataclass of its own settings; `measure` finds them as `bench.own`.
        one_object: of a function (bench, target) -> `retinoscope.experiments.OneObject`: what
            `retinoscope look` shows of one object; "" where it shows nothing.
        place: where it stands among the others; the paper's sections have their numbers.
        next_token: whether it measures by the tasks that the next token answers, so that one of
            them must be asked for.
        by_default: whether a run measures it without being asked to.
        sheets: the lens sheets that it writes.
        scenes: data of its own, such as "arranged:rows:60", that it measures in place of the run's
            where these are the embedded scenes; "" where the run's will do. A run's limit bounds
            them too.
        asks: whether it measures questions with steps: of other data than the embedded scenes then
            every object that one is about, whatever a run's filter and curation leave.
        most: how many objects of the embedded scenes it measures where a run has no limit, so
            that all experiments together take minutes; None is as many as the run. Other data
            are measured whole.
    """

    name: str
    question: str
    records: Mapping[str, type] = field(hash=False)
    measure: str
    report: str
    settings: type[OwnSettings] = OwnSettings
    one_object: str = ""
    place: float = LAST
    next_token: bool = False
    by_default: bool = False
    sheets: tuple[Sheets, ...] = ()
    scenes: str = ""
    asks: bool = False
    most: int | None = None

    def __post_init__(self) -> None:
        if self.name not in self.records:
            raise RegistrationError(
                f"The experiment {self.name!r} has no table of its own name among its records "
                f"({', '.join(self.records) or 'none'}); give the first table that name."
            )
        for table, record in self.records.items():
            names = {f.name for f in fields(record)} if is_dataclass(record) else set()
            if not {"image_id", "object_id"} <= names:
                raise RegistrationError(
                    f"The rows of {table!r} of the experiment {self.name!r} must be a dataclass "
                    f"with image_id and object_id; got {record!r}."
                )
        kind = self.settings
        if not (isinstance(kind, type) and issubclass(kind, OwnSettings)) or without_default(kind):
            raise RegistrationError(
                f"The settings of the experiment {self.name!r} must be a frozen dataclass made of "
                f"OwnSettings, whose fields all have defaults; got {kind!r}."
            )

    def measuring(self) -> Any:
        """The function that measures; importing it may take torch."""
        return load(self.measure)

    def showing(self) -> Any:
        """The function that shows one object; importing it may take torch."""
        return load(self.one_object)

    def reporting(self) -> Any:
        """The `Report`; importing it never takes torch."""
        return load(self.report)


@functools.cache
def experiments() -> Mapping[str, Experiment]:
    """Every experiment by name, in the order of a report: ours, and what is installed beside.

    Raises:
        RegistrationError: one of somebody else's can't be had.
    """
    own = members(GROUP, "EXPERIMENT", folders=True)
    every = sorted(registered(GROUP, Experiment, own), key=lambda one: (one.place, one.name))
    return {one.name: one for one in every}


def default_experiments() -> tuple[str, ...]:
    """Names of those that a run measures without being asked to: the paper's."""
    return tuple(name for name, one in experiments().items() if one.by_default)


def chosen(names: str) -> tuple[str, ...]:
    """Names of experiments from what is typed: separated by commas, or "all".

    Args:
        names: such as "ablation,lens".
    """
    if names.strip() == "all":
        return tuple(experiments())
    return tuple(part.strip() for part in names.split(",") if part.strip())
