"""Reading a model and its processor from a folder or the hub, whole and where it is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForImageTextToText, PreTrainedConfig, PreTrainedModel
from transformers.utils.hub import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

from retinoscope.data.content import content_hashes
from retinoscope.errors import ModelError
from retinoscope.models.adapter import WEIGHTS, adapted, base_of, is_adapter
from retinoscope.models.place import Map, moved, need_accelerate
from retinoscope.models.processors import load_processor
from retinoscope.models.smollm2 import read_smollm2
from retinoscope.models.tower import TOWER, tower_name
from retinoscope.models.variant import is_variant, read_variant
from retinoscope.models.weights import check_finite, check_whole
from retinoscope.shipped import check_spelling, is_shipped, shipped_folder

WIDENED = 2**31
"""Bytes of weights up to which a model on one device is computed with in float32."""

PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")

_UNLOADABLE = (
    *(OSError, ValueError, KeyError, TypeError, ImportError, AttributeError),
    StrictDataclassError,
)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model with its processor, not yet checked against each other."""

    name: str
    model: PreTrainedModel
    processor: Any
    revision: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


def read_model(
    given: str | Path,
    processor: Any,
    dtype: torch.dtype | None,
    where: torch.device | Map,
    revision: str | None,
    quantization_config: Any,
) -> Loaded:
    """A model from a folder or the hub, on its base where it is an adapter.

    Args:
        given: "embedded", "embedded/NAME", a folder or a hub name.
        processor: the model's processor; None is the one that comes with it.
        dtype: the weights' type; None is the checkpoint's own, or float32 for a small one.
        where: the device, or a map over several.
        revision: the hub's branch, tag or commit.
        quantization_config: passed on to transformers.

    Raises:
        ModelError: as in `load`.
    """
    name = str(given)
    if not Path(given).exists():
        check_spelling(name)
    folder = _adapter_folder(given, revision)
    if folder is not None:
        base, its = base_of(folder)
        below = read_model(
            base, _own_processor(folder, processor), dtype, where, its, quantization_config
        )
        model = adapted(folder, below.model)
        check_finite(name, model)
        files = {f"adapter/{file}": known for file, known in file_hashes(folder).items()}
        files |= {f"base/{file}": known for file, known in below.files.items()}
        return replace(below, name=name, model=model, files=files)
    source = shipped_folder(name) if is_shipped(given) else given
    folder = Path(source)
    if is_shipped(given) and (folder / TOWER).is_file():
        return _behind_tower(name, folder, processor, dtype, where, revision, quantization_config)
    if folder.is_dir():
        if revision is not None:
            raise ModelError(
                f"{name} is a folder, which has no revisions; leave out revision={revision!r}, or "
                "give a hub name."
            )
        _check_folder(folder)
    elif folder.exists() or name.startswith((".", "/", "~")):
        raise ModelError(f"{name} is not a folder with a model; give a folder or a hub name.")
    else:
        _check_on_hub(name, revision)
    if processor is None:
        processor = _load_processor(source, name, revision)
    model = _load_model(source, name, dtype, where, revision, quantization_config)
    found = getattr(model.config, "_commit_hash", None) or ""
    files = file_hashes(folder) if folder.is_dir() else {}
    return Loaded(name, model.eval().requires_grad_(False), processor, found, files)


def _check_on_hub(name: str, revision: str | None) -> None:
    """Ask the hub for one file before its many: without a network each is asked for in vain.

    Raises:
        ModelError: its configuration is neither on the hub nor in the cache.
    """
    try:
        cached_file(name, "config.json", revision=revision)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{name} is no folder here, and its config.json can't be had from the hub ({error}). "
            "Check the name; without a network give a folder, or `embedded`."
        ) from error


def _adapter_folder(given: str | Path, revision: str | None) -> Path | None:
    """The folder of an adapter's files, those of the hub where it is from there; None if none."""
    if is_shipped(given):
        return None
    if Path(given).exists():
        return Path(given) if is_adapter(Path(given)) else None
    try:
        found = find_adapter_config_file(str(given), revision=revision)
    except (OSError, ValueError):
        # Loading says what is wrong with the name.
        return None
    if found is None:
        return None
    try:
        cached_file(str(given), WEIGHTS, revision=revision)
    except OSError as error:
        raise ModelError(f"The adapter {given} has no {WEIGHTS} to load: {error}") from error
    return Path(found).parent


def _behind_tower(
    name: str,
    folder: Path,
    processor: Any,
    dtype: torch.dtype | None,
    where: torch.device | Map,
    revision: str | None,
    quantization_config: Any,
) -> Loaded:
    """What stands behind another model's tower; it is put together here, so few options apply."""
    given = {"processor": processor, "revision": revision}
    given |= {"quantization_config": quantization_config}
    refused = [key for key, value in given.items() if value is not None]
    refused += [] if isinstance(where, torch.device) else ["device_map"]
    if refused or not isinstance(where, torch.device):
        raise ModelError(
            f"{name} is put together from parts, for which {', '.join(refused)} can't be set; "
            "leave it out."
        )
    cpu = torch.device("cpu")
    below = read_model(tower_name(folder), None, torch.float32, cpu, None, None)
    model: Any
    own: Any
    kind = "variant" if is_variant(folder) else "adapter"
    files = {f"{kind}/{file}": known for file, known in file_hashes(folder).items()}
    files |= {f"tower/{file}": known for file, known in below.files.items()}
    if is_variant(folder):
        model, own = read_variant(folder, below.model), below.processor
    else:
        model, own, gguf = read_smollm2(folder, below.model, below.processor)
        files[gguf.name] = content_hashes([gguf])[gguf]
    placed = moved(name, model.to(dtype or torch.float32), where)
    return Loaded(name, placed.eval().requires_grad_(False), own, files=files)


def _own_processor(folder: Path, processor: Any) -> Any:
    """The processor that was given, or that lies in an adapter's folder; None if neither."""
    if processor is None and any((folder / name).is_file() for name in PROCESSOR_FILES):
        return _load_processor(folder, str(folder), None)
    return processor


def _load_model(
    source: str | Path,
    name: str,
    dtype: torch.dtype | None,
    where: torch.device | Map,
    revision: str | None,
    quantization_config: Any,
) -> PreTrainedModel:
    """A checkpoint's model, its weights checked, where it is to be."""
    options: dict[str, Any] = {"revision": revision, "quantization_config": quantization_config}
    try:
        described = PreTrainedConfig.get_config_dict(source, revision=revision)[0]
        packed = quantization_config or described.get("quantization_config")
        if not isinstance(where, torch.device):
            options["device_map"] = where
        elif packed and where.type != "cpu":
            # What is packed for a device can't be moved there later.
            need_accelerate("A quantised model on a GPU")
            options["device_map"] = {"": where}
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype or "auto",
            use_safetensors=True,
            trust_remote_code=False,
            # What does not fit is refused below, by its name.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **{key: value for key, value in options.items() if value is not None},
        )
    except (*_UNLOADABLE, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{name} can't be loaded: {error}") from error
    model, found = loaded
    check_whole(name, found)
    check_finite(name, model)
    if not isinstance(where, torch.device):
        return model
    if dtype is None:
        model = _widened(model)
    return model if "device_map" in options else moved(name, model, where)


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
    except Exception as error:
        # Whatever is wrong with a tokenizer's file, tokenizers raises a bare Exception.
        raise ModelError(
            f"The processor of {name} can't be loaded ({error}); save it beside the weights with "
            "processor.save_pretrained(folder)."
        ) from error
    check_processor(name, processor)
    return processor


def check_processor(name: str, processor: Any) -> None:
    """Make sure that a processor has its two parts.

    Raises:
        ModelError: one is missing.
    """
    for needed in ("tokenizer", "image_processor"):
        if not hasattr(processor, needed):
            raise ModelError(
                f"The processor of {name} is a {type(processor).__name__} without "
                f"{needed}; give the model's whole processor, or save it beside the weights."
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
