"""Models that are handed over as objects: what is wrapped around them is taken off."""

from __future__ import annotations

import sys
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from retinoscope.errors import ModelError


def unwrapped(model: Any, processor: Any) -> tuple[Any, Any]:
    """A model and its processor out of a wrapper of nnsight, or as they are given.

    The wrapper is left as it is and goes on working: model and weights are shared.

    Args:
        model: an `NNsight` or one of its subclasses, or anything else.
        processor: goes before the one that the wrapper holds.

    Raises:
        ModelError: nnsight has not loaded the weights yet, or TransformerLens has rebuilt the
            model.
    """
    # Who wrapped a model has imported what wraps it.
    nnsight = sys.modules.get("nnsight")
    if nnsight is not None and isinstance(model, nnsight.NNsight):
        inner, held = model._module, getattr(model, "processor", None)
        if any(weight.is_meta for weight in inner.parameters()):
            raise ModelError(
                "nnsight has not loaded this model's weights yet; make the wrapper with "
                "dispatch=True, or call model.dispatch() first."
            )
        return inner, held if processor is None else processor
    parts = model.modules() if isinstance(model, nn.Module) else ()
    if any(type(part).__module__.startswith("transformer_lens.") for part in parts):
        raise ModelError(
            f"TransformerLens has rebuilt this {type(model).__name__}: a bridge puts parts of its "
            "own into the Hugging Face model. Load the model a second time for Retinoscope, and "
            "give that one with its processor."
        )
    return model, processor


def bare(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside what was wrapped around it; none of them is changed.

    Adapters that PEFT put into the layers stay in force. `torch.compile` and wrappers for
    training on several devices are left out: hooks would not be called in compiled code.

    Args:
        model: a transformers model, as it is, wrapped by PEFT, compiled or in (Distributed)
            DataParallel.

    Raises:
        ModelError: no transformers model is inside, an adapter works outside the layers, parts
            are compiled on their own, or the model is set to training.
    """
    while (inner := _inside(model)) is not None:
        model = inner
    if not isinstance(model, PreTrainedModel):
        raise ModelError(
            f"A {type(model).__name__} is not a transformers model; give a model that "
            "AutoModelForImageTextToText loads, or its name."
        )
    if _compiled(model):
        model = _uncompiled(model)
    parts = [name for name, part in model.named_modules() if name and _compiled(part)]
    if parts:
        raise ModelError(
            f"Parts of the model are compiled on their own ({', '.join(parts[:3])}), whose insides "
            "can't be seen; load the model before these are compiled."
        )
    training = [name or "the model" for name, part in model.named_modules() if part.training]
    if training:
        raise ModelError(
            f"The model is set to training ({', '.join(training[:3])}), where dropout makes every "
            "run another one; call model.eval() first."
        )
    return model


def _inside(model: Any) -> nn.Module | None:
    """What is wrapped one layer down; None where nothing is."""
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):  # torch.compile(model)
        return model._orig_mod
    if type(model).__name__ in ("DataParallel", "DistributedDataParallel"):
        return model.module
    # Who made a PEFT model has imported peft.
    peft = sys.modules.get("peft")
    if peft is None or not isinstance(model, (peft.PeftModel, peft.PeftMixedModel)):
        return None
    for name, config in model.peft_config.items():
        kind = str(getattr(config.peft_type, "value", config.peft_type))
        invoked = getattr(config, "alora_invocation_tokens", None) is not None
        if config.is_prompt_learning or invoked or kind == "XLORA":
            raise ModelError(
                f"The adapter {name!r} ({kind}) works outside the layers, by the prompt or the "
                "wrapper's own forward; only adapters inside them, such as LoRA, can be looked at."
            )
    return model.base_model.model


def _compiled(module: nn.Module) -> bool:
    forward = module.__dict__.get("forward")
    return (
        hasattr(module, "_orig_mod")
        or getattr(module, "_compiled_call_impl", None) is not None
        or hasattr(forward, "_torchdynamo_orig_callable")
    )


def _uncompiled(model: PreTrainedModel) -> PreTrainedModel:
    """A second model of the same parts and weights, that runs as it is written."""
    kind = type(model)
    twin = kind.__new__(kind)
    left_out = {"_compiled_call_impl"}
    if hasattr(model.__dict__.get("forward"), "_torchdynamo_orig_callable"):
        left_out.add("forward")
    twin.__dict__.update({k: v for k, v in model.__dict__.items() if k not in left_out})
    return twin
