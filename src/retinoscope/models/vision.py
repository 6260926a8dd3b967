"""The way from pixels to the language model's first layer: watched, silenced or remembered."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retinoscope.errors import ModelError
from retinoscope.models.checkpoint import Checkpoint


class _FirstLayerReached(Exception):
    """Leaves a forward pass once its first decoder layer is reached."""


@torch.no_grad()
def first_states(
    checkpoint: Checkpoint, inputs: Mapping[str, Tensor]
) -> Float[Tensor, "prompts length width"]:
    """What the first decoder layer reads at every position of a prompt, or of several.

    Taken from the model's own forward pass, which is left as soon as the first layer is reached:
    packing, newlines, scaling and merging into the sequence are the model's own.

    Args:
        checkpoint: the model.
        inputs: the model's inputs, of one prompt or a batch.

    Raises:
        ModelError: the model ran without entering its first decoder layer.
    """
    caught: list[Tensor] = []

    def catch(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.append(args[0] if args else kwargs["hidden_states"])
        raise _FirstLayerReached

    hook = checkpoint.parts.layers[0].register_forward_pre_hook(catch, with_kwargs=True)
    try:
        checkpoint.model(**inputs, use_cache=False)
    except _FirstLayerReached:
        return caught[0]
    finally:
        hook.remove()
    raise ModelError(f"{checkpoint.name} ran without entering its first decoder layer.")


@contextmanager
def local_vision(checkpoint: Checkpoint) -> Iterator[None]:
    """Inside, the vision tower's attention adds nothing: a visual token sees its cell alone.

    Every attention module outside the language model's decoder layers gives zeros; the residual
    stream then carries each patch by itself, and which pixels reach which token can be read off
    exactly.

    Args:
        checkpoint: the model; it is as before on leaving.

    Raises:
        ModelError: the model has no attention outside its decoder layers.
    """
    own = {id(module) for module in checkpoint.parts.layers.modules()}
    attention = [
        module
        for module in checkpoint.model.modules()
        if type(module).__name__.endswith("Attention") and id(module) not in own
    ]
    if not attention:
        raise ModelError(f"{checkpoint.name} has no attention in a vision tower to be silenced.")

    def silence(_: nn.Module, __: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (torch.zeros_like(output[0]), *output[1:])
        return torch.zeros_like(output)

    with ExitStack() as hooks:
        for module in attention:
            hooks.callback(module.register_forward_hook(silence).remove)
        yield


@contextmanager
def shared_vision(checkpoint: Checkpoint, images: int = 4) -> Iterator[None]:
    """Inside, features of images and videos are computed once and shared by all their prompts.

    The model's own `get_image_features` (`get_video_features`) is called on the first prompt; for
    the same pixels, to the bit, its output is given again. Exact for every model that merges
    features through that method (all but Llama 3.2 Vision, which computes as always), and it works
    wherever the model is called: recording, full forward passes and generation. Features are kept
    only when no gradient is asked for.

    Args:
        checkpoint: the model; it is as before on leaving.
        images: how many prompts' images, and how many's videos, to remember, the latest ones.
    """
    owner: Any = getattr(checkpoint.model, "model", checkpoint.model)
    names = [f"get_{medium}_features" for medium in ("image", "video")]
    own = {name: vars(owner).get(name) for name in names if hasattr(owner, name)}
    for name in own:
        setattr(owner, name, _remembering(getattr(owner, name), images))
    try:
        yield
    finally:
        for name, before in own.items():
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


def _remembering(compute: Callable[..., Any], most: int) -> Callable[..., Any]:
    """The same function, computed once for the same arguments."""
    remembered: OrderedDict[str, Any] = OrderedDict()

    def features(*args: Any, **kwargs: Any) -> Any:
        if torch.is_grad_enabled():
            return compute(*args, **kwargs)
        key = _key(args, kwargs)
        if key not in remembered:
            remembered[key] = compute(*args, **kwargs)
            while len(remembered) > most:
                remembered.popitem(last=False)
        remembered.move_to_end(key)
        return remembered[key]

    return features


def _key(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """A digest of the arguments, tensors by their bits."""
    digest = hashlib.sha256()
    for name, value in [*enumerate(args), *sorted(kwargs.items())]:
        if isinstance(value, Tensor):
            digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}:".encode())
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        else:
            digest.update(f"{name}:{value!r}:".encode())
    return digest.hexdigest()
