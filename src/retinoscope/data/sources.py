"""Open data by a short text, as the command line gives it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from retinoscope.data.cached_scenes import Composing, arranged_scenes, embedded_scenes
from retinoscope.data.coco import read_coco
from retinoscope.data.folder import read_folder
from retinoscope.data.hub_datasets import read_datasets
from retinoscope.data.readers.clevr import read_clevr
from retinoscope.data.readers.gqa import read_gqa
from retinoscope.data.readers.panoptic import read_panoptic
from retinoscope.data.readers.pope import read_pope
from retinoscope.data.readers.tallyqa import read_tallyqa
from retinoscope.data.readers.vsr import read_vsr
from retinoscope.data.readers.whatsup import read_whatsup
from retinoscope.data.samples import Dataset
from retinoscope.data.selection import ANY_SIZE, EMBEDDED_FILTER, PAPER_FILTER, Filter
from retinoscope.errors import DataError
from retinoscope.registry import registered

DEFAULT_COUNT = 400
"""Embedded scenes where no count is given."""

EMBEDDED_LIMIT = 102
"""Objects of the embedded scenes that are measured by default."""

MEAN_SEED = 900_001
"""Seed of the embedded scenes that only serve for the mean; no other scenes use it."""


@dataclass(frozen=True)
class Source:
    """A kind of data that a text can name.

    Attributes:
        name: the word before the colon.
        usage: what is written for it.
        what: what it is.
        read: opens it, from what is written after the colon.
        filter: which of its objects a run studies where nothing else is asked for.
        limit: how many objects a run measures then; None is all.
        mean: what the mean visual token is taken over, from what is written after the colon, the
            most images and what else is chosen; None is the data's own images.
        alone: whether its name may stand without more.
        questions: whether questions can come by image id, from a file of their own.
        stand_in: whether an experiment may measure scenes of its own in place of these.
    """

    name: str
    usage: str
    what: str
    read: Callable[[str, Choices], Dataset]
    filter: Filter = ANY_SIZE
    limit: int | None = None
    mean: Callable[[str, int, Choices], Dataset] | None = None
    alone: bool = False
    questions: bool = False
    stand_in: bool = False


@dataclass(frozen=True)
class Choices:
    """What is chosen of a source beside its text; what a source can't choose it refuses.

    Attributes:
        split: of data that have several.
        questions: a JSON of questions by image id.
        seed: of composed scenes.
        composing: told of scenes that are composed first.
    """

    split: str | None = None
    questions: Path | None = None
    seed: int = 0
    composing: Composing | None = None


def open_data(
    spec: str,
    *,
    split: str | None = None,
    questions: Path | None = None,
    seed: int = 0,
    composing: Composing | None = None,
) -> Dataset:
    """Open the data that a text names.

    Args:
        spec: the kind of data, then where it lies or what is chosen of it, such as
            "coco:PATH"; `sources` lists the kinds.
        split: which split of data that have several.
        questions: a JSON of questions by image id, for COCO; see `read_questions`.
        seed: of the embedded scenes.
        composing: called with how many scenes are composed and how many there will be, where
            they are not in the cache.

    Raises:
        DataError: nothing known is named, or the data can't be read.
    """
    rest = spec.partition(":")[2]
    source = source_of(spec)
    if questions is not None and not source.questions:
        able = ", ".join(one.usage for one in sources().values() if one.questions)
        raise DataError(f"{questions}: questions by image id are read for {able} alone.")
    return source.read(rest, Choices(split, questions, seed, composing))


@functools.cache
def sources() -> Mapping[str, Source]:
    """Every kind of data by name: ours, and what is installed beside.

    Raises:
        RegistrationError: one of somebody else's can't be had.
    """
    return {one.name: one for one in registered("retinoscope.data", Source, _OWN)}


def source_of(spec: str) -> Source:
    """The kind of data that a text names.

    Raises:
        DataError: nothing known is named.
    """
    kind, _, rest = spec.partition(":")
    source = sources().get(kind)
    if source is None or not (rest or source.alone):
        possible = ", ".join(f"{one.usage} ({one.what})" for one in sources().values())
        raise DataError(f"data {spec!r} is not known. Possible: {possible}.")
    return source


def mean_images(
    spec: str, count: int, *, split: str | None = None, composing: Composing | None = None
) -> Dataset:
    """What the mean visual token of some data is taken over, where nothing else is asked for.

    Args:
        spec: as `open_data` takes it.
        count: most images, where the data keep some for it.
        split: of the data.
        composing: as `open_data` takes it.

    Raises:
        DataError: the data can't be read.
    """
    source = source_of(spec)
    if source.mean is not None:
        return source.mean(spec.partition(":")[2], count, Choices(split, composing=composing))
    return open_data(spec, split=split, composing=composing)


def open_images(text: str, *, split: str | None = None) -> Dataset:
    """Images that a text names: as `open_data`, or the bare path of a folder of images.

    Raises:
        DataError: there is no such folder, or the data can't be read.
    """
    if text.partition(":")[0] in sources():
        return open_data(text, split=split)
    return _folder(text, Choices(split))


def _refuse_split(name: str, split: str | None) -> None:
    if split is not None:
        raise DataError(f"{name}: there are no splits, and {split!r} was asked for; leave it out.")


def _embedded(rest: str, choices: Choices) -> Dataset:
    _refuse_split("embedded scenes", choices.split)
    count = _count(rest or str(DEFAULT_COUNT))
    return embedded_scenes(count, seed=choices.seed, composing=choices.composing)


def _arranged(rest: str, choices: Choices) -> Dataset:
    _refuse_split("arranged scenes", choices.split)
    kind, _, text = rest.partition(":")
    count = _count(text or str(DEFAULT_COUNT))
    return arranged_scenes(kind, count, seed=choices.seed, composing=choices.composing)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text) > 0):
        raise DataError(f"{text[:24]!r} scenes: give a whole number from 1 to 9,999,999.")
    return int(text)


def _coco(rest: str, choices: Choices) -> Dataset:
    return read_coco(Path(rest).expanduser(), choices.split, choices.questions)


def _folder(rest: str, choices: Choices) -> Dataset:
    _refuse_split(rest, choices.split)
    return read_folder(Path(rest).expanduser())


def _datasets(rest: str, choices: Choices) -> Dataset:
    return read_datasets(rest, choices.split)


def _benchmark(read: Callable[[Path, str | None], Dataset]) -> Callable[[str, Choices], Dataset]:
    return lambda rest, choices: read(Path(rest).expanduser(), choices.split)


_OWN: tuple[Source, ...] = (
    Source(
        *("embedded", "embedded[:COUNT]"),
        "the scenes that come with Retinoscope, embedded:COUNT of them",
        _embedded,
        # One object of an image keeps a run's objects independent of each other.
        filter=replace(EMBEDDED_FILTER, one_per_image=True),
        limit=EMBEDDED_LIMIT,
        mean=lambda rest, count, choices: embedded_scenes(
            count, seed=MEAN_SEED, composing=choices.composing
        ),
        alone=True,
        stand_in=True,
    ),
    Source(
        *("arranged", "arranged:KIND[:COUNT]"),
        *("embedded scenes in a layout, with questions in steps", _arranged),
    ),
    Source(
        *("coco", "coco:PATH", "a COCO folder or its instances JSON", _coco),
        filter=PAPER_FILTER,
        questions=True,
    ),
    Source("folder", "folder:PATH", "any folder of images", _folder),
    Source("datasets", "datasets:NAME_OR_PATH", "a Hugging Face dataset", _datasets),
    Source("gqa", "gqa:PATH", "GQA's questions and scene graphs", _benchmark(read_gqa)),
    Source("clevr", "clevr:PATH", "CLEVR's questions and scenes", _benchmark(read_clevr)),
    Source("vsr", "vsr:PATH", "VSR's statements", _benchmark(read_vsr)),
    Source("whatsup", "whatsup:PATH", "What'sUp's captions", _benchmark(read_whatsup)),
    Source("pope", "pope:PATH", "POPE's polls", _benchmark(read_pope)),
    Source("tallyqa", "tallyqa:PATH", "TallyQA's counts", _benchmark(read_tallyqa)),
    Source("panoptic", "panoptic:PATH", "COCO's panoptic segments", _benchmark(read_panoptic)),
)
