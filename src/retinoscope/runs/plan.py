"""Plan: what a run is to do, and the configuration that a run folder belongs to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from retinoscope.data import EMBEDDED_FILTER, PAPER_FILTER, Dataset, Filter
from retinoscope.errors import RunError
from retinoscope.experiments import Settings
from retinoscope.models import Checkpoint
from retinoscope.results.records import EXPERIMENTS


@dataclass(frozen=True)
class Plan:
    """Everything that a run was asked to do.

    Attributes:
        out: the run folder.
        model: "embedded", a folder or a hub name.
        revision: the hub's revision, or None.
        dtype: the weights' type by its torch name, or None for the default.
        device_map: as in transformers, or None for the CPU.
        data: "embedded[:COUNT]", "coco:PATH" or "folder:PATH".
        split: the split of a COCO folder that has several.
        mean_images: data whose images give the mean visual token; None is the embedded scenes
            that are kept for it where the data are embedded, else the data's own images.
        mean_count: most images of the mean.
        chosen: which objects are considered; None is the data's preset.
        limit: curated objects to measure.
        sheets: images that get a lens page.
        experiments: which of EXPERIMENTS to run.
        settings: what they do.
        command: the command line, for the record.
    """

    out: Path
    model: str = "embedded"
    revision: str | None = None
    dtype: str | None = None
    device_map: str | None = None
    data: str = "embedded"
    split: str | None = None
    mean_images: str | None = None
    mean_count: int = 400
    chosen: Filter | None = None
    limit: int = 102
    sheets: int = 12
    experiments: tuple[str, ...] = EXPERIMENTS
    settings: Settings = field(default_factory=Settings)
    command: str = ""

    def __post_init__(self) -> None:
        unknown = [name for name in self.experiments if name not in EXPERIMENTS]
        if unknown or not self.experiments:
            raise RunError(
                f"Experiments {unknown or 'none'} were asked for; choose from "
                f"{', '.join(EXPERIMENTS)}."
            )
        if self.limit < 1 or self.mean_count < 1 or self.sheets < 0:
            raise RunError(
                f"limit and mean_count are at least 1 and sheets at least 0; got {self.limit}, "
                f"{self.mean_count} and {self.sheets}."
            )

    @property
    def filter(self) -> Filter:
        """Which objects are considered: given, or the preset of the kind of data."""
        if self.chosen is not None:
            return self.chosen
        embedded = self.data.partition(":")[0] == "embedded"
        # One object of an image keeps a run's objects independent of each other.
        return replace(EMBEDDED_FILTER, one_per_image=True) if embedded else PAPER_FILTER


def configuration(plan: Plan, checkpoint: Checkpoint, dataset: Dataset) -> dict[str, Any]:
    """Every choice that shapes the numbers, as plain values; not where the folder is."""
    return {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "files": dict(checkpoint.files),
        "dtype": str(checkpoint.model.dtype).removeprefix("torch."),
        "data": plan.data,
        "split": plan.split,
        "fingerprint": dataset.fingerprint,
        "mean_images": plan.mean_images,
        "mean_count": plan.mean_count,
        "filter": asdict(plan.filter),
        "limit": plan.limit,
        "sheets": plan.sheets,
        "experiments": list(plan.experiments),
        "settings": {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(plan.settings).items()
        },
    }
