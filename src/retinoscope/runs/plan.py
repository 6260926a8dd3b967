"""Plan: what a run is to do, and the configuration that a run folder belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from retinoscope.data import Dataset, Filter, source_of
from retinoscope.data.content import content_hashes
from retinoscope.data.fingerprint import fingerprint, image_fingerprint
from retinoscope.errors import RunError
from retinoscope.experiments import Settings
from retinoscope.models import Checkpoint
from retinoscope.results.experiment import default_experiments, experiments
from retinoscope.results.own_settings import OwnSettings, recorded
from retinoscope.runs.mean import OWN_COUNT, chosen_images
from retinoscope.tasks import tasks

_ASIDE = {"aside": True}
"""Marks a field that does not shape the numbers, or does so by what is found where it says."""


@dataclass(frozen=True)
class Plan:
    """Everything that a run was asked to do.

    Every field is part of what a run folder belongs to, unless it is marked as aside.

    Attributes:
        out: the run folder.
        model: "embedded", a folder or a hub name.
        revision: the hub's revision, or None.
        dtype: the weights' type by its torch name, or None for the default.
        device: where the model runs, or None for the best there is.
        device_map: as in transformers, to share the model out over devices, or None.
        data: as `retinoscope.data.open_data` takes it.
        split: the split of a COCO folder that has several.
        questions: a JSON of questions by image id; None is the data's own file, if any.
        mean_images: data (or a folder) whose images give the mean visual token; None is what
            the data keep for it, else the data's own images.
        mean_count: most images of the mean; None is all of `mean_images`, and OWN_COUNT without.
        mean_per_position: a mean of each position of the grid instead of one of all.
        mean_file: a file with the mean visual token, which is then not measured.
        curated: measure only objects that the model names, and names because it sees them.
        chosen: which objects are considered; None is the data's preset.
        limit: objects to measure; None is the data's preset, mostly all.
        sheets: images that get a lens page.
        experiments: names of the experiments to run; the paper's by default.
        settings: what they share.
        own: the own settings of some experiments, by name; those of the others suit the model and
            the protocol (`own_settings`).
        workers: processes that measure objects; more than one for a model on the CPU alone. A
            program that asks for several must be importable without running (`if __name__ ==
            "__main__":`). The numbers don't depend on it, but for rounding. With `on`, None is one
            for each GPU or core of the cluster.
        on: "ray" or "ray:ADDRESS", for a Ray cluster: one that is started on this machine, or the
            one there.
        parts: an fsspec address at which the parts of the records are kept while the run goes on,
            such as "s3://bucket/run"; None is the run folder.
        command: the command line, for the record.
    """

    out: Path = field(metadata=_ASIDE)
    model: str = "embedded"
    revision: str | None = None
    dtype: str | None = None
    device: str | None = field(default=None, metadata=_ASIDE)
    device_map: str | None = field(default=None, metadata=_ASIDE)
    data: str = "embedded"
    split: str | None = None
    questions: Path | None = field(default=None, metadata=_ASIDE)
    mean_images: str | None = None
    mean_count: int | None = None
    mean_per_position: bool = False
    mean_file: Path | None = None
    curated: bool = True
    chosen: Filter | None = field(default=None, metadata=_ASIDE)
    limit: int | None = None
    sheets: int = 12
    experiments: tuple[str, ...] = field(default_factory=default_experiments)
    settings: Settings = field(default_factory=Settings)
    own: Mapping[str, OwnSettings] = field(default_factory=dict, metadata=_ASIDE)
    workers: int | None = field(default=1, metadata=_ASIDE)
    on: str | None = field(default=None, metadata=_ASIDE)
    parts: str | None = field(default=None, metadata=_ASIDE)
    command: str = field(default="", metadata=_ASIDE)

    def __post_init__(self) -> None:
        _check_experiments(self)
        limits = [number for number in (self.limit, self.mean_count) if number is not None]
        if min(limits, default=1) < 1 or self.sheets < 0 or (self.workers or 1) < 1:
            raise RunError(
                f"limit, mean_count and workers are at least 1 and sheets at least 0; got "
                f"{self.limit}, {self.mean_count}, {self.workers} and {self.sheets}."
            )
        if (self.on or "ray").partition(":")[0] != "ray" or (self.on, self.workers) == (None, None):
            raise RunError(
                f"on is `ray` or `ray:ADDRESS`, and workers a number without it; got {self.on!r} "
                f"and {self.workers!r}."
            )
        measured = (self.mean_images, self.mean_count, self.mean_per_position or None)
        if self.mean_file is not None and measured != (None, None, None):
            raise RunError(
                "A file with the mean visual token was given and also how to measure one; give "
                "either --mean-file or --mean-images, --mean-count and --mean-per-position."
            )

    def own_settings(self, name: str) -> OwnSettings:
        """One experiment's own settings: given, or what suits the model and the protocol."""
        if name in self.own:
            return self.own[name]
        return experiments()[name].settings.suited(self.model, self.settings.protocol)

    @property
    def filter(self) -> Filter:
        """Which objects are considered: given, or the preset of the kind of data."""
        return source_of(self.data).filter if self.chosen is None else self.chosen

    @property
    def wanted(self) -> int | None:
        """How many objects to measure: given, or the preset of the data; None is every one."""
        return source_of(self.data).limit if self.limit is None else self.limit

    @property
    def own_scenes(self) -> dict[str, str]:
        """The experiments that measure scenes of their own here, with what they are."""
        if not source_of(self.data).stand_in:
            return {}
        own = {name: experiments()[name].scenes for name in self.experiments}
        return {name: scenes for name, scenes in own.items() if scenes}

    @property
    def most(self) -> dict[str, int]:
        """The experiments that measure fewer objects here than the run, and how many."""
        if not source_of(self.data).stand_in or self.limit is not None:
            return {}
        known = {name: experiments()[name].most for name in self.experiments}
        return {name: most for name, most in known.items() if most is not None}

    @property
    def mean_wanted(self) -> int | None:
        """How many images the mean is over at most; None is every one."""
        return OWN_COUNT if self.mean_count is None and not self.mean_images else self.mean_count


def _check_experiments(plan: Plan) -> None:
    known = experiments()
    names = plan.experiments
    if not names or any(name not in known for name in names) or len({*names}) < len(names):
        raise RunError(
            f"Experiments {', '.join(names) or 'none'} were asked for; choose from "
            f"{', '.join(known)}, each once."
        )
    able = [name for name, task in tasks().items() if not task.written]
    for name in names:
        if known[name].next_token and not {*able} & {*plan.settings.tasks}:
            raise RunError(
                f"The experiment {name} is measured by the tasks {' and '.join(able)}; got "
                f"{plan.settings.tasks!r}. Add one of them, or leave the experiment out."
            )
    for name, own in plan.own.items():
        if name not in names:
            raise RunError(
                f"Settings of the experiment {name!r} were given, which is not among those to "
                f"measure ({', '.join(names)}). Add it, or leave its settings out."
            )
        if type(own) is not known[name].settings:
            raise RunError(
                f"The experiment {name} is settled by {known[name].settings.__name__}; got {own!r}."
            )


def configuration(
    plan: Plan, checkpoint: Checkpoint, dataset: Dataset, images: Dataset | None
) -> dict[str, Any]:
    """Every choice that shapes the numbers, as plain values; not where the folder is.

    Args:
        plan: what was asked for.
        checkpoint: the model.
        dataset: the data, which count by their content.
        images: those that the mean visual token is measured over, which count by theirs; None
            where it is read from a file.
    """
    asked = {
        field.name: getattr(plan, field.name)
        for field in fields(plan)
        if "aside" not in field.metadata
    }
    # What was found counts, in place of how it was asked for.
    return asked | {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "files": dict(checkpoint.files),
        "dtype": str(checkpoint.model.dtype).removeprefix("torch."),
        "fingerprint": fingerprint(dataset),
        "mean_fingerprint": _mean_fingerprint(plan, images),
        "mean_count": plan.mean_wanted,
        "mean_file": content_hashes([plan.mean_file])[plan.mean_file] if plan.mean_file else None,
        "filter": asdict(plan.filter),
        "limit": plan.wanted,
        "experiments": {name: recorded(plan.own_settings(name)) for name in plan.experiments},
        "settings": recorded(plan.settings),
        "own_scenes": plan.own_scenes,
        "most": plan.most,
    }


def _mean_fingerprint(plan: Plan, images: Dataset | None) -> str | None:
    if images is None:
        return None
    return image_fingerprint(chosen_images(images, plan.mean_wanted))
