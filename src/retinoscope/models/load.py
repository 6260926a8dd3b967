"""Loading a checkpoint: the embedded one, a folder, one from the hub, an adapter, an object."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from retinoscope.errors import ModelError
from retinoscope.models.checkpoint import Checkpoint, find_parts
from retinoscope.models.family import Family, families, family_named, family_of
from retinoscope.models.given import bare, unwrapped
from retinoscope.models.mean import MeanToken, with_mean_token
from retinoscope.models.place import place
from retinoscope.models.quiet import without_bars
from retinoscope.models.read import Loaded, check_processor, read_model
from retinoscope.models.views import image_token
from retinoscope.models.weights import check_finite
from retinoscope.shipped import EMBEDDED, is_shipped


def load(
    model: str | Path | nn.Module | Any = EMBEDDED,
    processor: Any = None,
    *,
    family: Family | str | None = None,
    dtype: torch.dtype | str | None = None,
    device: str | torch.device | None = None,
    device_map: str | Mapping[str, Any] | None = None,
    revision: str | None = None,
    quantization_config: Any = None,
    mean: Tensor | MeanToken | None = None,
) -> Checkpoint:
    """Load a vision-language model, or take one that is loaded; never remote code.

    Args:
        model: "embedded" or "embedded/NAME" (`retinoscope models --variants` lists them), a folder
            in Hugging Face format, a hub name, or a folder with a PEFT adapter, which is put on
            the base that it names. Or a loaded model, also one that PEFT or nnsight wrapped, that
            is compiled or quantised: it must be in evaluation mode, and is left as it is.
        processor: the processor of a loaded model; for others None is the one that comes with
            them, such as that of an nnsight `TransformersModel`.
        family: how the model lays images out, by the name of a family or of a model type, or a
            `Family` of one's own; None goes by the model's own type.
        dtype: the weights' type, or its name; None is the checkpoint's own, but float32 for models
            of at most WIDENED bytes, where memory is no matter and rounding would be.
        device: where the model runs; None is the best one: CUDA, else MPS, else the CPU.
        device_map: shares a model out over devices, as in transformers ("auto"); needs accelerate.
        revision: the hub's branch, tag or commit.
        quantization_config: passed on to transformers.
        mean: the mean visual token, for ablations: [width], or [positions, width].

    Raises:
        ModelError: nothing is there, the weights are missing, pickled or not finite, or not those
            of the configuration, the processor is missing or does not fit, the model has no
            decoder language model, or the device is not there.
    """
    # First of all: a family from outside may make classes of its own known to transformers.
    families()
    chosen = None if family is None else family_named(family)
    model, processor = unwrapped(model, processor)
    if isinstance(model, nn.Module):
        options = {"dtype": dtype, "device": device, "device_map": device_map}
        options |= {"revision": revision, "quantization_config": quantization_config}
        loaded = _of_object(model, processor, options)
    elif isinstance(model, str | Path):
        where = place(device, device_map)
        fetched = not is_shipped(model) and not Path(model).exists()
        with without_bars(downloads=fetched):
            loaded = read_model(
                model, processor, dtype_named(dtype), where, revision, quantization_config
            )
    else:
        raise ModelError(
            f"A {type(model).__name__} is not a model; give a name, a folder, or a loaded model "
            "and its processor."
        )
    return _checkpoint(loaded, chosen, mean)


def _of_object(model: nn.Module, processor: Any, options: Mapping[str, Any]) -> Loaded:
    """A model that somebody loaded; only its processor can go with it."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ModelError(
            f"{', '.join(given)} can't be set for a model that is loaded already; set it when "
            "you load the model, or move the model yourself."
        )
    if processor is None:
        raise ModelError(
            "A loaded model needs its processor beside it: load(model, processor), such as "
            "AutoProcessor.from_pretrained(name)."
        )
    inner = bare(model)
    name = getattr(inner, "name_or_path", "") or type(inner).__name__
    check_finite(name, inner)
    return Loaded(name, inner, processor)


def _checkpoint(loaded: Loaded, family: Family | None, mean: Any) -> Checkpoint:
    """The model with its parts, everything checked against everything."""
    name, model, processor = loaded.name, loaded.model, loaded.processor
    check_processor(name, processor)
    _check_fit(name, model, processor)
    if family is None and not family_of(model.config.model_type).model_types[0]:
        warnings.warn(
            f"No family describes how a {model.config.model_type!r} model lays images out; its "
            "geometry is guessed. Run the checks on it before you trust its token map, or name a "
            "family that it is laid out like: load(..., family=...).",
            stacklevel=3,
        )
    checkpoint = Checkpoint(
        name=name,
        revision=loaded.revision,
        files=loaded.files,
        model=model,
        processor=processor,
        family=family or family_of(model.config.model_type),
        parts=find_parts(model),
    )
    return checkpoint if mean is None else with_mean_token(checkpoint, mean)


def dtype_named(name: str | torch.dtype | None) -> torch.dtype | None:
    """The weights' type of that name, for `load`; a type itself, and None, stay as they are.

    Raises:
        ModelError: torch has no such type.
    """
    if name is None or isinstance(name, torch.dtype):
        return name
    found = getattr(torch, str(name), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"{name!r} is not a type of weights; give float32, bfloat16 or float16.")
    return found


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
