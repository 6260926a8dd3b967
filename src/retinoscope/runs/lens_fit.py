"""Fitting a lens on the images of some data: streamed, resumable, kept under a key."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import platformdirs
import torch

from retinoscope.data import Dataset, Sample
from retinoscope.data.fingerprint import image_fingerprint
from retinoscope.engine import Recording
from retinoscope.errors import ModelError, SampleError, TokenMapError
from retinoscope.experiments.lenses.examples import example, words_of
from retinoscope.lens import KINDS, FittedLens, model_key, read_fitted, write_fitted
from retinoscope.lens.fitted import finite
from retinoscope.lens.fitting import State, fitting
from retinoscope.models import Checkpoint
from retinoscope.models.tensor_file import load_tensors, save_tensors
from retinoscope.results.manifest import installed_versions
from retinoscope.runs.mean import SHAPING, chosen_images
from retinoscope.runs.mean_groups import SAVED_EVERY
from retinoscope.runs.progress import Progress

COUNT = 100
"""Images that a lens is fitted on where no number is asked for."""


OF_WORDS = ("jacobian", "probe", "probe-shuffled")
"""Lenses that have a direction for each class' word, and none without."""


def fit_lens(
    kind: str, checkpoint: Checkpoint, dataset: Dataset, count: int | None, progress: Progress
) -> Path:
    """Fit a lens; the same again goes on where an interrupted fit stopped, or is there already.

    Args:
        kind: one of `retinoscope.lens.KINDS`.
        checkpoint: the model.
        dataset: images; of the classes' words and objects' places those lenses need that have them.
        count: at most so many images, a fixed random choice; None is all.
        progress: told of every image.

    Returns:
        The file, in the cache.

    Raises:
        ModelError: no such kind, no image could be used, the data have no classes for a lens that
            is fitted for them, or the lens came out not finite.
        KeyboardInterrupt: interrupted; what was fitted is kept.
    """
    fitting(kind)
    chosen = chosen_images(dataset, count)
    settings = _settings(kind, checkpoint, dataset, chosen)
    path = _folder(checkpoint) / f"{kind}-{_key(settings)}.safetensors"
    if path.exists():
        return path
    words = words_of(checkpoint, dataset.categories)
    if not words and kind in OF_WORDS:
        raise ModelError(
            f"A {kind} lens is fitted for the words of the data's classes, and {dataset.name} has "
            "none that the tokenizer can spell; give data with objects, such as coco:PATH."
        )
    state = _streamed(kind, checkpoint, chosen, words, path.with_suffix(".partial"), progress)
    tensors = finite(fitting(kind).finish(state, sorted({*words.values()})), kind)
    write_fitted(FittedLens(kind, tensors, model_key(checkpoint), settings), path)
    path.with_suffix(".partial").unlink(missing_ok=True)
    return path


def found_lens(name: str, checkpoint: Checkpoint) -> FittedLens:
    """A fitted lens by the path of its file, or by its kind where one alone was fitted.

    Args:
        name: a path, or one of `retinoscope.lens.KINDS`; "tuned" is "tuned-visual".
        checkpoint: the model that it must belong to.

    Raises:
        ModelError: there is none, or several.
    """
    kind = "tuned-visual" if name == "tuned" else name
    if kind not in KINDS:
        return read_fitted(Path(name))
    files = sorted(_folder(checkpoint).glob(f"{kind}-????????????????????????.safetensors"))
    if len(files) == 1:
        return read_fitted(files[0])
    if files:
        raise ModelError(
            f"{len(files)} {kind} lenses were fitted on {checkpoint.name}; give the path of one: "
            f"{', '.join(map(str, files))}."
        )
    raise ModelError(
        f"No {kind} lens was fitted on {checkpoint.name} yet; run `retinoscope lens fit {kind} "
        f"--model {checkpoint.name}`, or give the path of its file."
    )


def fitted_lenses(checkpoint: Checkpoint) -> dict[str, FittedLens]:
    """The lenses in the cache that were fitted on a model, by kind; several of one by path."""
    files = sorted(_folder(checkpoint).glob("*.safetensors"))
    found = {path: read_fitted(path) for path in files}
    kinds = [one.kind for one in found.values()]
    return {
        one.kind if kinds.count(one.kind) == 1 else str(path): one for path, one in found.items()
    }


def _streamed(
    kind: str,
    checkpoint: Checkpoint,
    chosen: Sequence[Sample],
    words: dict[str, int],
    partial: Path,
    progress: Progress,
) -> State:
    """The state over all images, those that an earlier sitting went through not again.

    Raises:
        ModelError: no image could be used.
    """
    method, tokens = fitting(kind), sorted({*words.values()})
    state, place, used = _taken_up(partial, progress)
    progress.stage(f"{kind} lens", len(chosen))
    progress.step(place)
    saved = time.monotonic()
    try:
        for turn in range(place, len(chosen)):
            try:
                seen = example(checkpoint, chosen[turn], words, turn, (kind,))
            except (SampleError, TokenMapError) as error:
                progress.note(str(error))
            else:
                state = method.add(state or _begun(kind, seen.recording, tokens), seen)
                used += 1
            place = turn + 1
            progress.step(place)
            if time.monotonic() - saved > SAVED_EVERY:
                _put_down(state, place, used, partial)
                saved = time.monotonic()
    finally:
        _put_down(state, place, used, partial)
    if not state:
        raise ModelError(f"None of {len(chosen)} images could be used to fit a {kind} lens.")
    return state


def _begun(kind: str, recording: Recording, tokens: Sequence[int]) -> State:
    return fitting(kind).begin(recording, tokens)


def _put_down(state: State, place: int, used: int, partial: Path) -> None:
    if state:
        save_tensors(partial, dict(state), {"place": str(place), "used": str(used)})


def _taken_up(partial: Path, progress: Progress) -> tuple[State, int, int]:
    """What an earlier sitting knew; nothing where it left none or where that is damaged."""
    nothing: dict[str, torch.Tensor] = {}
    if not partial.exists():
        return nothing, 0, 0
    try:
        tensors, told = load_tensors(partial)
        return tensors, int(told["place"]), int(told["used"])
    except (ModelError, KeyError, ValueError):
        partial.unlink(missing_ok=True)
        progress.note(f"{partial} was damaged and is deleted; the lens is fitted again.")
        return nothing, 0, 0


def _settings(
    kind: str, checkpoint: Checkpoint, dataset: Dataset, chosen: Sequence[Sample]
) -> dict[str, Any]:
    versions = installed_versions()
    return {
        "kind": kind,
        "model": checkpoint.name,
        "data": dataset.name,
        "images": len(chosen),
        "fingerprint": image_fingerprint(chosen),
        "categories": list(dataset.categories),
        "versions": {name: versions[name] for name in SHAPING},
    }


def _key(settings: dict[str, Any]) -> str:
    # The model stands in the folder's name; what it is called is no part of what it is.
    told = {name: value for name, value in settings.items() if name != "model"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:24]


def _folder(checkpoint: Checkpoint) -> Path:
    return Path(platformdirs.user_cache_dir("retinoscope")) / "lenses" / model_key(checkpoint)
