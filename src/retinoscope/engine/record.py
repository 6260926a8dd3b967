"""Record one clean run: the model's own forward pass, watched and left as it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from retinoscope.engine.attention import AttentionFunction, as_allowed, attending
from retinoscope.engine.recording import LayerCall, Recording
from retinoscope.errors import ModelError
from retinoscope.models import Checkpoint, Encoded


@torch.no_grad()
def record(checkpoint: Checkpoint, encoded: Encoded, *, room: int = 0) -> Recording:
    """Run the model once on a prompt and keep what conditions need.

    Args:
        checkpoint: the model.
        encoded: the prompt.
        room: filler positions to record behind the prompt, to generate there later.

    Raises:
        ModelError: the model mixes positions in a way that can't be watched, or its final norm or
            the last step of its logits can't be found.
    """
    watch = _Watch(checkpoint)
    inputs = _with_room(dict(encoded.inputs), room)
    with watch:
        output = checkpoint.model(**inputs, use_cache=False)
    length = encoded.layout.length
    total = length + room
    if watch.inputs[0].shape[-2] != total:
        raise ModelError(
            f"The language model of {checkpoint.name} saw {watch.inputs[0].shape[-2]} positions, "
            f"the prompt has {total}; its sequence is not the processor's."
        )
    stream = [*(h[0, :length] for h in watch.inputs), watch.outputs[-1][0, :length]]
    clean = output.logits[0, length - 1]
    head_row = watch.head_output[0, watch.head_output.shape[1] - total + length - 1]
    return Recording(
        checkpoint=checkpoint,
        encoded=encoded,
        length=length,
        stream=tuple(stream),
        additions=_additions(watch, length),
        calls=tuple(watch.call(index, total) for index in range(checkpoint.layer_count)),
        norm=watch.found_norm(),
        finish=_finish(head_row, clean, checkpoint),
        logits=clean,
        room=room,
    )


def _with_room(inputs: dict[str, Tensor], room: int) -> dict[str, Tensor]:
    """The prompt's inputs with filler text behind: the last token again, attended, of kind text."""
    if room == 0:
        return inputs
    length = inputs["input_ids"].shape[-1]
    for name, value in inputs.items():
        if value.ndim == 2 and value.shape[-1] == length:
            inputs[name] = torch.cat([value, value[:, -1:].expand(-1, room)], dim=-1)
    return inputs


class _Watch:
    """Hooks on a model for the length of one forward pass; all are gone afterwards."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.args: list[tuple[Any, ...]] = []
        self.options: list[dict[str, Any]] = []
        self.allowed: dict[int, Tensor | None] = {}
        self.norms: list[nn.Module] = []
        self.head_output = torch.empty(0)
        layers = checkpoint.parts.layers
        self.layer_of = {id(part): i for i, layer in enumerate(layers) for part in layer.modules()}

    def __enter__(self) -> _Watch:
        parts = self.checkpoint.parts
        self.hooks = [
            hook
            for layer in parts.layers
            for hook in (
                layer.register_forward_pre_hook(self._before_layer, with_kwargs=True),
                layer.register_forward_hook(self._after_layer),
            )
        ]
        self.hooks += [
            module.register_forward_pre_hook(self._seek_norm)
            for module in parts.decoder.modules()
            if id(module) not in self.layer_of and not list(module.children())
        ]
        self.hooks.append(parts.head.register_forward_hook(self._after_head))
        self.seat = attending(parts.decoder, self)
        self.seat.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.seat.__exit__(*error)
        for hook in self.hooks:
            hook.remove()

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        base: AttentionFunction,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None]:
        layer = self.layer_of.get(id(module))
        if layer is not None and layer in self.allowed:
            raise ModelError(f"Decoder layer {layer} attends twice, which can't be recorded.")
        if layer is not None and key.shape[-2] == query.shape[-2]:
            self.allowed[layer] = mask
        return base(module, query, key, value, mask, **options)

    def call(self, index: int, total: int) -> LayerCall:
        """How a layer was called, with its mask as a boolean square."""
        if index not in self.allowed:
            raise ModelError(
                f"Decoder layer {index} of {self.checkpoint.name} mixes positions without "
                "attention that can be watched, so conditions can't be replayed on it."
            )
        return LayerCall(
            self.args[index],
            self.options[index],
            _square(self.allowed[index], total, self.inputs[index].device),
        )

    def found_norm(self) -> nn.Module:
        """The module that received the last layer's output."""
        if not self.norms:
            raise ModelError(f"The final norm of {self.checkpoint.name} can't be found.")
        return self.norms[0]

    def _before_layer(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.inputs.append(args[0] if args else kwargs["hidden_states"])
        self.args.append(args[1:])
        self.options.append({k: v for k, v in kwargs.items() if k != "hidden_states"})

    def _after_layer(self, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.outputs.append(output[0] if isinstance(output, tuple) else output)

    def _seek_norm(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        last = self.outputs[-1] if len(self.outputs) == self.checkpoint.layer_count else None
        if last is not None and args and args[0] is last:
            self.norms.append(module)

    def _after_head(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.head_output = output


def _square(mask: Tensor | None, total: int, device: torch.device) -> Bool[Tensor, "total total"]:
    """The mask of one layer as [query, key]; no mask means plain causal attention."""
    if mask is None:
        return torch.ones(total, total, dtype=torch.bool, device=device).tril()
    allowed = as_allowed(mask)
    return allowed.reshape(-1, *allowed.shape[-2:])[0]


def _additions(watch: _Watch, length: int) -> dict[int, Tensor]:
    """What the model adds to the stream between layers (DeepStack), by the later one's place."""
    found: dict[int, Tensor] = {}
    for place in range(1, len(watch.inputs)):
        before, after = watch.outputs[place - 1], watch.inputs[place]
        if after is not before and not torch.equal(after, before):
            found[place] = (after - before)[0, :length]
    return found


def _finish(head_row: Tensor, clean: Tensor, checkpoint: Checkpoint) -> Callable[[Tensor], Tensor]:
    """What happens between the unembedding and the logits, inferred from one row and checked."""
    if torch.equal(head_row, clean):
        return _unchanged
    config = checkpoint.parts.decoder.config.get_text_config(decoder=True)
    cap = getattr(config, "final_logit_softcapping", None)
    if cap and torch.allclose(torch.tanh(head_row / cap) * cap, clean, atol=1e-4):
        return lambda logits: torch.tanh(logits / cap) * cap
    scale = float((clean.double() @ head_row.double()) / (head_row.double() @ head_row.double()))
    if torch.allclose(head_row * scale, clean, atol=1e-4, rtol=1e-4):
        return lambda logits: logits * scale
    raise ModelError(
        f"{checkpoint.name} changes its logits after the unembedding in a way that is neither a "
        "scale nor a soft-cap."
    )


def _unchanged(logits: Tensor) -> Tensor:
    return logits
