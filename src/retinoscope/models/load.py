"""Loading a checkpoint: the embedded one, a local folder, or one from the hub."""

from __future__ import annotations

import importlib.resources
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForImageTextToText, PreTrainedModel

from retinoscope.data.content import content_hashes
from retinoscope.errors import ModelError
from retinoscope.models.checkpoint import Checkpoint, find_parts
from retinoscope.models.family import family_of
from retinoscope.models.processors import load_processor
from retinoscope.models.views import image_token
from retinoscope.models.weights import check_finite, check_whole

EMBEDDED = "embedded"
"""The name of the small VLM that comes with the package."""

WIDENED = 2**31
"""Bytes of weights up to which a model on the CPU is computed with in float32."""

_UNLOADABLE = (OSError, ValueError, KeyError, TypeError, ImportError)


def embedded_folder() -> Path:
    """The folder of the embedded model inside the installed package."""
    return Path(str(importlib.resources.files("retinoscope.models"))) / EMBEDDED


def load(
    name_or_path: str | Path = EMBEDDED,
    *,
    dtype: torch.dtype | None = None,
    device_map: str | Mapping[str, Any] | None = None,
    revision: str | None = None,
    quantization_config: Any = None,
    mean: Tensor | None = None,
) -> Checkpoint:
    """Load a vision-language model; only safetensors, never remote code.

    Args:
        name_or_path: "embedded", a folder in Hugging Face format, or a hub name.
        dtype: the weights' type; None is the checkpoint's own, but float32 on the CPU for models
            of at most WIDENED bytes, where memory is no matter and rounding would be.
        device_map: as in transformers; None loads on the CPU.
        revision: the hub's branch, tag or commit.
        quantization_config: passed on to transformers.
        mean: the mean visual token, for ablations: [width], or [positions, width].

    Raises:
        ModelError: nothing is there, the weights are missing, pickled or not finite, or not those
            of the configuration, the processor is missing or does not fit, or the model has no
            decoder language model.
    """
    name = str(name_or_path)
    source = embedded_folder() if name == EMBEDDED else name_or_path
    folder = Path(source)
    if folder.is_dir():
        _check_folder(folder)
    elif folder.exists() or name.startswith((".", "/", "~")):
        raise ModelError(f"{name} is not a folder with a model; give a folder or a hub name.")
    options = {
        "revision": revision,
        "device_map": device_map,
        "quantization_config": quantization_config,
    }
    given = {key: value for key, value in options.items() if value is not None}
    processor = _load_processor(source, name, revision)
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype or "auto",
            use_safetensors=True,
            trust_remote_code=False,
            # What does not fit is refused below, by its name.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **given,
        )
    except (*_UNLOADABLE, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{name} can't be loaded: {error}") from error
    model, found = loaded
    check_whole(name, found)
    check_finite(name, model)
    if dtype is None and device_map is None:
        model = _widened(model)
    _check_fit(name, model, processor)
    family = family_of(model.config.model_type)
    if not family.model_types[0]:
        warnings.warn(
            f"No family describes how a {model.config.model_type!r} model lays images out; its "
            "geometry is guessed. Run the checks on it before you trust its token map.",
            stacklevel=2,
        )
    return Checkpoint(
        name=name,
        revision=getattr(model.config, "_commit_hash", None) or "",
        files=file_hashes(folder) if folder.is_dir() else {},
        model=model.eval().requires_grad_(False),
        processor=processor,
        family=family,
        parts=find_parts(model),
        mean=mean,
    )


def dtype_named(name: str | None) -> torch.dtype | None:
    """The weights' type of that name, for `load`; None stays None.

    Raises:
        ModelError: torch has no such type.
    """
    if name is None:
        return None
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ModelError(f"{name!r} is no type of weights; give float32, bfloat16 or float16.")
    return found


def _widened(model: PreTrainedModel) -> PreTrainedModel:
    """A small model in float32; one that is large or quantised as it is."""
    quantised = getattr(model, "hf_quantizer", None) is not None
    if quantised or model.get_memory_footprint() > WIDENED:
        return model
    return model.float()


def _load_processor(source: str | Path, name: str, revision: str | None) -> Any:
    """The processor, with its tokenizer and image processor."""
    try:
        processor = load_processor(source, revision)
    except ImportError as error:
        raise ModelError(
            f"The processor of {name} needs a package that is not installed: {error}"
        ) from error
    except (*_UNLOADABLE, AttributeError) as error:
        raise ModelError(
            f"The processor of {name} can't be loaded ({error}); save it beside the weights with "
            "processor.save_pretrained(folder)."
        ) from error
    for needed in ("tokenizer", "image_processor"):
        if not hasattr(processor, needed):
            raise ModelError(
                f"The processor of {name} is a {type(processor).__name__} without "
                f"{needed}; save the model's whole processor beside its weights."
            )
    return processor


def _check_fit(name: str, model: PreTrainedModel, processor: Any) -> None:
    """The processor's tokenizer speaks the model's vocabulary, the image token included."""
    known = set(processor.tokenizer.get_vocab().values())
    rows = next(model.get_input_embeddings().parameters()).shape[0]
    if max(known) >= rows:
        raise ModelError(
            f"The tokenizer of {name} has ids up to {max(known)} but the model embeds {rows}; the "
            "processor belongs to another model."
        )
    image = image_token(model.config)
    if image not in known:
        raise ModelError(
            f"The model's image token is number {image}, which the tokenizer of {name} does not "
            "have; the processor belongs to another model."
        )


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").exists():
        raise ModelError(f"{folder} has no config.json; give a folder in Hugging Face format.")
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    if pickled:
        raise ModelError(
            f"{folder} holds only pickled weights ({', '.join(pickled)}), which can run code when "
            "they are opened; save the model again with model.save_pretrained(folder), which "
            "writes safetensors."
        )
    raise ModelError(f"{folder} has no *.safetensors weights; save the model there first.")


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in a checkpoint's folder, by name; remembered, see `content_hashes`."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    return {path.name: content for path, content in content_hashes(files).items()}
