"""Find a benchmark's files, and gather its questions into samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from retinoscope.data.images import image_size
from retinoscope.data.reading import is_there
from retinoscope.data.samples import Dataset, Question, Sample
from retinoscope.errors import DataError, SampleError


@dataclass(frozen=True)
class Found:
    """Where a benchmark lies.

    Attributes:
        root: its folder.
        file: the file that was looked for.
    """

    root: Path
    file: Path


def find_file(given: Path, patterns: Sequence[str], split: str | None, expected: str) -> Found:
    """The one file of a benchmark that its questions are read from.

    Args:
        given: the benchmark's folder, or the file itself; the folder of a file is the one above
            it, or above that where it is called questions, annotations or output.
        patterns: where the file may lie under the folder.
        split: a part of the file's name where several are met.
        expected: what to say is expected.

    Raises:
        DataError: there is no such file, or there are several.
    """
    if is_there(given):
        inner = given.parent.name in ("questions", "annotations", "scenes")
        return Found(given.parent.parent if inner else given.parent, given)
    if not given.is_dir():
        raise DataError(f"{given}: no such file or folder. Expected {expected}.")
    met = [path for pattern in patterns for path in sorted(given.glob(pattern))]
    named = [path for path in met if split is None or split in path.stem]
    if len(named) == 1:
        return Found(given, named[0])
    if not met:
        raise DataError(f"{given}: no {' or '.join(patterns)} in it. Expected {expected}.")
    listed = ", ".join(str(path.relative_to(given)) for path in named or met)
    if not named:
        raise DataError(f"{given}: no split {split!r} among {listed}. Choose one of them.")
    raise DataError(f"{given}: several files: {listed}. Give one, or its split.")


@dataclass
class Gathering:
    """Samples in the making: images are counted as they come, questions go to their image.

    Attributes:
        root: the benchmark's folder.
        folders: where under it an image may lie.
        skipped: why an image or object was left out.
    """

    root: Path
    folders: Sequence[str]
    skipped: list[str] = field(default_factory=list)
    _paths: dict[str, Path | None] = field(default_factory=dict)
    _questions: defaultdict[str, list[Question]] = field(default_factory=lambda: defaultdict(list))

    def ask(self, image: str, question: Question) -> None:
        """Add a question about an image, named as the data set names its file."""
        self._questions[image].append(question)

    def path(self, image: str) -> Path | None:
        """The image's file; None, with a line in `skipped`, where there is none.

        Raises:
            DataError: the name leaves the folder.
        """
        if image not in self._paths:
            name = PurePosixPath(image)
            if name.is_absolute() or ".." in name.parts or not name.parts:
                raise DataError(f"{self.root}: image {image!r} leaves the folder. Mend its name.")
            tried = [self.root / folder / image for folder in self.folders]
            self._paths[image] = next((path for path in tried if is_there(path)), None)
            if self._paths[image] is None:
                places = ", ".join(str(path.parent) for path in tried)
                self.skipped.append(f"{image}: no such image in {places}.")
        return self._paths[image]

    def samples(self) -> list[Sample]:
        """A sample of each image that was asked about and can be opened, counted from 1."""
        found = []
        for number, (image, questions) in enumerate(self._questions.items(), 1):
            path = self.path(image)
            if path is None:
                continue
            try:
                width, height = image_size(path)
            except SampleError as error:
                self.skipped.append(str(error))
                continue
            found.append(Sample(number, path, width, height, questions=tuple(questions)))
        return found


def finish(
    name: str,
    root: Path,
    samples: Iterable[Sample],
    skipped: Sequence[str] = (),
) -> Dataset:
    """A data set of the samples, sorted by image id.

    Args:
        name: how a report calls the data.
        root: its folder.
        samples: at least one.
        skipped: why images, objects or questions were left out.

    Raises:
        DataError: there is no sample.
    """
    listed = tuple(sorted(samples, key=lambda sample: sample.image_id))
    if not listed:
        reasons = " ".join(skipped[:3]) or "The file names none."
        raise DataError(f"{root}: no image of {name} can be used. {reasons}")
    return Dataset(
        name=name,
        root=root,
        categories=tuple(sorted({item.class_name for s in listed for item in s.annotations})),
        samples=listed,
        skipped=tuple(skipped),
    )
