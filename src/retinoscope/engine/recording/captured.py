"""One forward pass, captured: how each layer was called, what it attended to, what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from retinoscope.engine.recording.attention import AttentionCall, as_allowed
from retinoscope.engine.recording.hooks import PassHooks
from retinoscope.engine.recording.inputs import keeping
from retinoscope.engine.recording.layer import tensors
from retinoscope.errors import ModelError
from retinoscope.models import Checkpoint, Parts


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


class Capture(PassHooks):
    """Captures one forward pass.

    Attributes:
        layers: what was captured of each layer that ran.
        norms: modules that received the last layer's output.
        head_output: what the unembedding gave, None until it ran.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.layers: dict[int, CapturedLayer] = {}
        self.norms: list[nn.Module] = []
        self.head_output: Tensor | None = None

    def attend(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend as ever, and note what was attended to."""
        index = self.index.get(id(call.module))
        if index is not None and index in self.layers:
            layer = self.layers[index]
            given = {_storage(t) for t in tensors((layer.args, layer.options))}
            own_mask = call.mask is not None and _storage(call.mask) not in given
            made = CapturedAttention(
                call.mask, call.key, call.value, call.crossing, call.causal, own_mask
            )
            layer.attention.append(made)
        return call.run()

    def enter(self, index: int, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Note how the layer is called."""
        given = args[0] if args else options["hidden_states"]
        others = {name: value for name, value in options.items() if name != "hidden_states"}
        self.layers[index] = CapturedLayer(given, args[1:], others)

    def leave(self, index: int, output: Any) -> None:
        """Note what it gives."""
        self.layers[index].output = output[0] if isinstance(output, tuple) else output

    def behind(self, module: nn.Module, given: Any, output: Any) -> None:
        """Note a module that receives the last layer's output."""
        last = self.layers.get(len(self.parts.layers) - 1)
        if last is not None and last.output is not None and given is last.output:
            self.norms.append(module)

    def unembedded(self, output: Tensor) -> None:
        """Note what the unembedding gives."""
        self.head_output = output


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@dataclass(frozen=True, eq=False)
class CapturedRun:
    """One captured forward pass of a prompt.

    Attributes:
        layers: in order, those that ran.
        norms: modules that received the last layer's output.
        head_output: what the unembedding gave; None where it did not run.
        inputs: what the model was given.
        logits: what it made of it.
        length: positions of the prompt.
        last: the row of the logits that predicts the first token of the answer, from the end.
    """

    layers: tuple[CapturedLayer, ...]
    norms: tuple[nn.Module, ...]
    head_output: Tensor | None
    inputs: Mapping[str, Tensor]
    logits: Tensor
    length: int
    last: int

    @property
    def row(self) -> Tensor:
        """The logits that predict the first token of the answer."""
        return self.logits[0, self.last]

    @property
    def head_row(self) -> Tensor:
        """The unembedding's output at the same position."""
        assert self.head_output is not None
        return self.head_output[0, self.last]

    @property
    def stream(self) -> tuple[Tensor, ...]:
        """The residual stream at every place; the first of several streams."""
        last = self.layers[-1].output
        assert last is not None
        states = [*(layer.input for layer in self.layers), last]
        return tuple(h.reshape(-1, *h.shape[-2:])[0, : self.length] for h in states)


def captured_run(
    checkpoint: Checkpoint, inputs: Mapping[str, Tensor], length: int, filler: int
) -> CapturedRun:
    """Capture one forward pass of a prompt and some filler behind it.

    Args:
        checkpoint: the model.
        inputs: of prompt and filler.
        length: positions of the prompt.
        filler: positions behind it.

    Raises:
        ModelError: the layers didn't run, or saw another sequence.
    """
    encoder_decoder = "decoder_input_ids" in inputs
    asked = keeping(checkpoint.model, 1 if encoder_decoder else 1 + filler)
    captured = Capture(checkpoint.parts)
    with captured.listening():
        logits = checkpoint.model(**inputs, **asked, use_cache=False).logits
    if not captured.layers:
        raise ModelError(f"{checkpoint.name} ran without entering its decoder layers.")
    total = length + filler
    for index, layer in sorted(captured.layers.items()):
        shape = tuple(layer.input.shape)
        count = shape[-2]
        if count != total and total in shape[:-2]:
            raise ModelError(
                f"{checkpoint.name} keeps {count} residual streams at every position (its hidden "
                f"states have the shape {shape}); only models with one can be looked into."
            )
        if count != total:
            raise ModelError(
                f"Decoder layer {index} of {checkpoint.name} saw {count} positions, the prompt "
                f"has {total}; its sequence is not the processor's."
            )
    return CapturedRun(
        layers=tuple(captured.layers[index] for index in sorted(captured.layers)),
        norms=tuple(captured.norms),
        head_output=captured.head_output,
        inputs=inputs,
        logits=logits,
        length=length,
        last=-1 if encoder_decoder else -1 - filler,
    )


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
