"""One forward pass, captured: how each layer was called, what it attended to, what came out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from retinoscope.engine.recording.attention import AttentionCall, as_allowed, attending
from retinoscope.engine.recording.recording import tensors
from retinoscope.models import Parts


@dataclass(frozen=True, eq=False)
class CapturedAttention:
    """What one call of a layer's attention function was given.

    Attributes:
        mask: the mask as the function got it.
        keys: after position embedding, [batch, groups, keys, width].
        values: [batch, groups, keys, width].
        crossing: the keys stand for something outside the sequence.
        causal: no position reads a later one where there is no mask.
        own_mask: the attention module made the mask itself, it is none that the layer was given.
    """

    mask: Tensor | None
    keys: Tensor
    values: Tensor
    crossing: bool
    causal: bool
    own_mask: bool


@dataclass(eq=False)
class CapturedLayer:
    """One layer's run: how it was called, what it attended to and what came out."""

    input: Tensor
    args: tuple[Any, ...]
    options: dict[str, Any]
    attention: list[CapturedAttention] = field(default_factory=list)
    output: Tensor | None = None


class Capture:
    """A context in which one forward pass of the model is captured; nothing is changed by it.

    Hooks of others stay in force: layers are seen before others' pre-hooks and after others'
    forward hooks, so that calling the layer again goes through those hooks once again.

    Attributes:
        layers: what was captured of each layer that ran.
        norms: modules that received the last layer's output.
        head_output: what the unembedding gave, None until it ran.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.layers: dict[int, CapturedLayer] = {}
        self.norms: list[nn.Module] = []
        self.head_output: Tensor | None = None
        self._index = {
            id(part): i for i, layer in enumerate(parts.layers) for part in layer.modules()
        }
        self._stack = ExitStack()

    def __enter__(self) -> Capture:
        with ExitStack() as stack:
            for index, layer in enumerate(self.parts.layers):
                before = layer.register_forward_pre_hook(
                    self._before(index), prepend=True, with_kwargs=True
                )
                stack.callback(before.remove)
                stack.callback(layer.register_forward_hook(self._after(index)).remove)
            for module in self.parts.decoder.modules():
                if id(module) not in self._index and not list(module.children()):
                    stack.callback(module.register_forward_pre_hook(self._seek_norm).remove)
            stack.callback(self.parts.head.register_forward_hook(self._after_head).remove)
            stack.enter_context(attending(self.parts.decoder, self))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def __call__(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend as ever, and note what was attended to."""
        index = self._index.get(id(call.module))
        if index is not None and index in self.layers:
            layer = self.layers[index]
            given = {_storage(t) for t in tensors((layer.args, layer.options))}
            own_mask = call.mask is not None and _storage(call.mask) not in given
            made = CapturedAttention(
                call.mask, call.key, call.value, call.crossing, call.causal, own_mask
            )
            layer.attention.append(made)
        return call.run()

    def _before(self, index: int) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
            given = args[0] if args else options["hidden_states"]
            others = {name: value for name, value in options.items() if name != "hidden_states"}
            self.layers[index] = CapturedLayer(given, args[1:], others)

        return hook

    def _after(self, index: int) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self.layers[index].output = output[0] if isinstance(output, tuple) else output

        return hook

    def _seek_norm(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        last = self.layers.get(len(self.parts.layers) - 1)
        if last is not None and last.output is not None and args and args[0] is last.output:
            self.norms.append(module)

    def _after_head(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.head_output = output


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def recorded_masks(layers: Sequence[CapturedLayer]) -> list[Bool[Tensor, "recorded keys"]]:
    """One mask for each layer; layers that share a mask share the tensor."""
    found: dict[tuple[int, int, bool], Tensor] = {}
    masks: list[Tensor] = []
    for layer in layers:
        attended = layer.attention[0] if layer.attention else None
        keys = attended.keys.shape[-2] if attended else layer.input.shape[-2]
        causal = attended is None or (attended.causal and not attended.crossing)
        key = (id(attended.mask) if attended else id(None), keys, causal)
        if key not in found:
            found[key] = _mask(layer)
        masks.append(found[key])
    return masks


def reads_ahead(layer: CapturedLayer, length: int) -> bool:
    """Whether positions of the prompt read what stands behind the prompt."""
    if not layer.attention or layer.attention[0].crossing:
        return False
    return bool(_mask(layer)[:length, length:].any())


def _mask(layer: CapturedLayer) -> Bool[Tensor, "queries keys"]:
    """No mask means plain causal attention, or reading all there is."""
    count, device = layer.input.shape[-2], layer.input.device
    attended = layer.attention[0] if layer.attention else None
    if attended is not None and attended.mask is not None:
        allowed = as_allowed(attended.mask)
        return allowed.reshape(-1, *allowed.shape[-2:])[0]
    keys = attended.keys.shape[-2] if attended is not None else count
    every = torch.ones(count, keys, dtype=torch.bool, device=device)
    causal = attended is None or (attended.causal and not attended.crossing)
    return every.tril() if causal else every
