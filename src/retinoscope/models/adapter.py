"""Adapters of PEFT in a folder of their own, on the model that they name as their base."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from retinoscope.errors import ModelError
from retinoscope.models.given import bare
from retinoscope.models.weights import named

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter.

    Raises:
        ModelError: it holds a whole model as well.
    """
    if not (folder / CONFIG).is_file():
        return False
    if (folder / "config.json").is_file():
        raise ModelError(
            f"{folder} holds a model and an adapter ({CONFIG}); give each a folder of its own, so "
            "that it is clear whether the adapter is to be in force."
        )
    return True


def base_of(folder: Path) -> tuple[str | Path, str | None]:
    """The base that an adapter names, a folder or a hub name, and its revision.

    Raises:
        ModelError: the adapter can't be used: peft is missing, it names no base, or it has no
            weights.
    """
    if find_spec("peft") is None:
        raise ModelError(f"{folder} is an adapter, which needs peft: `pip install peft`.")
    if not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"{folder} has no {WEIGHTS}; save the adapter there with model.save_pretrained(folder)."
        )
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        base = config["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / CONFIG} can't be read: {error!r}.") from error
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"{folder / CONFIG} does not name the adapter's base (base_model_name_or_path); load "
            "the base yourself, put the adapter on it with peft, and give that model to load."
        )
    beside = folder / base
    found = beside if not Path(base).is_dir() and beside.is_dir() else base
    return found, config.get("revision")


def adapted(folder: Path, model: PreTrainedModel) -> PreTrainedModel:
    """The model with a folder's adapter in its layers, in evaluation mode.

    Raises:
        ModelError: the adapter is not one of this model, or its weights are not whole.
    """
    # Imported here: an adapter is the only thing that peft is needed for.
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict

    name, device = str(folder), str(model.device)
    try:
        config = PeftConfig.from_pretrained(name)
        config.inference_mode = True
        wrapped = PeftModel(model, config)
        mapping = getattr(model, "_checkpoint_conversion_mapping", None)
        found: Any = wrapped.load_adapter(name, "default", torch_device=device, key_mapping=mapping)
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            stored = len(file.keys())
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The adapter {name} can't be put on its base: {error}") from error
    wanted = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    wrong = [f"it lacks {named(sorted(found.missing_keys))}"] if found.missing_keys else []
    if found.unexpected_keys:
        wrong.append(f"the model has no place for {named(sorted(found.unexpected_keys))}")
    if not wrong and stored < len(wanted):
        wrong.append(f"it has {stored} weights where {len(wanted)} belong")
    if wrong:
        raise ModelError(f"The adapter {name} does not fit its base: {'; '.join(wrong)}.")
    return bare(wrapped.eval())
