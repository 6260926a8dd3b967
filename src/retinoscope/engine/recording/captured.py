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
class Attended:
    """What one call of a layer's attention function was given.

    Attributes:
        mask: the mask as the function got it.
        keys: after position embedding, [batch, groups, keys, width].
        values: [batch, groups, keys, width].
        crossing: the keys stand for something outside the sequence.
        causal: no position reads a later one where there is no mask.
        narrowed: the attention module made the mask itself, it is none that the layer was given.
    """

    mask: Tensor | None
    keys: Tensor
    values: Tensor
    crossing: bool
    causal: bool
    narrowed: bool


@dataclass(eq=False)
class SeenLayer:
    """One layer's run: how it was called, what it attended to and what came out."""

    entered: Tensor
    args: tuple[Any, ...]
    options: dict[str, Any]
    attended: list[Attended] = field(default_factory=list)
    left: Tensor | None = None


class Watch:
    """A context in which one forward pass of the model is seen; nothing is changed by it.

    Hooks of others stay in force: layers are seen before others' pre-hooks and after others'
    forward hooks, so that calling the layer again goes through those hooks once again.

    Attributes:
        layers: what was seen of each layer that ran.
        norms: modules that received the last layer's output.
        head_output: what the unembedding gave, None until it ran.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.layers: dict[int, SeenLayer] = {}
        self.norms: list[nn.Module] = []
        self.head_output: Tensor | None = None
        self._index = {
            id(part): i for i, layer in enumerate(parts.layers) for part in layer.modules()
        }
        self._stack = ExitStack()

    def __enter__(self) -> Watch:
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
            narrowed = call.mask is not None and _storage(call.mask) not in given
            seen = Attended(call.mask, call.key, call.value, call.crossing, call.causal, narrowed)
            layer.attended.append(seen)
        return call.run()

    def _before(self, index: int) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
            entered = args[0] if args else options["hidden_states"]
            others = {name: value for name, value in options.items() if name != "hidden_states"}
            self.layers[index] = SeenLayer(entered, args[1:], others)

        return hook

    def _after(self, index: int) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self.layers[index].left = output[0] if isinstance(output, tuple) else output

        return hook

    def _seek_norm(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        last = self.layers.get(len(self.parts.layers) - 1)
        if last is not None and last.left is not None and args and args[0] is last.left:
            self.norms.append(module)

    def _after_head(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.head_output = output


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def recorded_masks(seen: Sequence[SeenLayer]) -> list[Bool[Tensor, "recorded keys"]]:
    """One mask for each layer; layers that share a mask share the tensor."""
    found: dict[tuple[int, int, bool], Tensor] = {}
    masks: list[Tensor] = []
    for layer in seen:
        attended = layer.attended[0] if layer.attended else None
        keys = attended.keys.shape[-2] if attended else layer.entered.shape[-2]
        causal = attended is None or (attended.causal and not attended.crossing)
        key = (id(attended.mask) if attended else id(None), keys, causal)
        if key not in found:
            found[key] = _mask(layer)
        masks.append(found[key])
    return masks


def reads_ahead(layer: SeenLayer, length: int) -> bool:
    """Whether positions of the prompt read what stands behind the prompt."""
    if not layer.attended or layer.attended[0].crossing:
        return False
    return bool(_mask(layer)[:length, length:].any())


def _mask(layer: SeenLayer) -> Bool[Tensor, "queries keys"]:
    """No mask means plain causal attention, or reading all there is."""
    count, device = layer.entered.shape[-2], layer.entered.device
    attended = layer.attended[0] if layer.attended else None
    if attended is not None and attended.mask is not None:
        allowed = as_allowed(attended.mask)
        return allowed.reshape(-1, *allowed.shape[-2:])[0]
    keys = attended.keys.shape[-2] if attended is not None else count
    every = torch.ones(count, keys, dtype=torch.bool, device=device)
    causal = attended is None or (attended.causal and not attended.crossing)
    return every.tril() if causal else every
