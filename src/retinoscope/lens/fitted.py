"""A fitted lens as a file, and the model that it belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.engine import Recording
from retinoscope.errors import ModelError
from retinoscope.lens.lenses import LatentLens, LinearLens, StateLens, TunedLens
from retinoscope.models import Checkpoint
from retinoscope.models.tensor_file import load_tensors, save_tensors

KINDS = ("tuned-visual", "tuned-text", "latent", "jacobian", "probe", "probe-shuffled")
"""Lenses that are fitted; the logit lens is there without."""


@dataclass(frozen=True, eq=False)
class FittedLens:
    """What was fitted, without the model.

    Attributes:
        kind: one of KINDS.
        tensors: float32 or int64, on the CPU, by the names of the lens' own fields.
        model: what tells the model from any other.
        settings: what it was fitted on and how, as plain values.
    """

    kind: str
    tensors: Mapping[str, Tensor]
    model: str
    settings: Mapping[str, Any]

    __repr__ = brief_fields

    def lens(self, recording: Recording) -> StateLens:
        """The lens, to read runs of the model that it was fitted on.

        Raises:
            ModelError: the run is of another model.
        """
        checkpoint = recording.checkpoint
        if model_key(checkpoint) != self.model:
            raise ModelError(
                f"This {self.kind} lens was fitted on {self.settings.get('model', 'another model')}"
                f", not on {checkpoint.name} as it is loaded here; fit one with `retinoscope lens "
                f"fit {self.kind} --model ...`."
            )
        vocabulary = recording.logits.shape[-1]
        match self.kind:
            case "tuned-visual" | "tuned-text":
                maps = (self.tensors["matrices"], self.tensors["biases"])
                return TunedLens(recording.unembed, *maps, self.kind)
            case "latent":
                kept = (self.tensors["tokens"], self.tensors["states"])
                return LatentLens(*kept, vocabulary)
            case "jacobian" | "probe" | "probe-shuffled":
                return LinearLens(**self.tensors, vocabulary=vocabulary, kind=self.kind)
        raise ModelError(f"No lens {self.kind!r} is known; expected one of {', '.join(KINDS)}.")


def model_key(checkpoint: Checkpoint) -> str:
    """A model's identity in few letters: its files or weights, and its precision."""
    told = json.dumps([checkpoint.identity, str(checkpoint.model.dtype)], default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:24]


def write_fitted(fitted: FittedLens, path: Path) -> None:
    """Write a lens as safetensors, whole or not at all.

    Raises:
        ModelError: the file can't be written.
    """
    told = {"kind": fitted.kind, "model": fitted.model, "settings": dict(fitted.settings)}
    save_tensors(path, fitted.tensors, {"lens": json.dumps(told, sort_keys=True)})


def read_fitted(path: Path) -> FittedLens:
    """Read what `write_fitted` wrote, verified.

    Raises:
        ModelError: the file is missing or damaged, or holds no lens.
    """
    tensors, metadata = load_tensors(path)
    try:
        told = json.loads(metadata["lens"])
        return FittedLens(told["kind"], tensors, told["model"], told["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} holds no fitted lens ({error}); give a file of `retinoscope lens fit`."
        ) from error


def finite(tensors: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """Tensors as a lens keeps them.

    Raises:
        ModelError: one is not finite: fitting went astray.
    """
    kept = {
        name: (one.detach().float() if one.is_floating_point() else one).cpu().contiguous()
        for name, one in tensors.items()
    }
    bad = [name for name, one in kept.items() if not bool(torch.isfinite(one.double()).all())]
    if bad:
        raise ModelError(f"The {what} lens came out with {', '.join(bad)} that are not finite.")
    return kept
