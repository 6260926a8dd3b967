"""The residual stream under a condition, from one full forward pass of the model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retinoscope.engine.checks import Checked
from retinoscope.engine.full import intervening
from retinoscope.engine.recording import Recording
from retinoscope.engine.room import keeping
from retinoscope.interventions import Condition, as_condition
from retinoscope.models import Parts


@torch.no_grad()
def changed_stream(
    recording: Recording, condition: Condition
) -> tuple[Float[Tensor, "positions width"], ...]:
    """The raw residual stream at every place, 0 to the number of layers, under a condition.

    Args:
        recording: the clean run; the empty condition gives its own stream.
        condition: the interventions in force together.

    Raises:
        InterventionError: an intervention can't be applied here, or did not take effect.
    """
    condition = as_condition(condition)
    if not condition:
        return recording.stream
    checkpoint, inputs = recording.checkpoint, recording.encoded.inputs
    sites = Checked(recording).sites(condition)
    # The interventions' hooks first: what they make of a state is what is seen.
    with (
        intervening(checkpoint.parts, sites, recording.length),
        _seen(checkpoint.parts) as states,
    ):
        checkpoint.model(**inputs, **keeping(checkpoint.model, 1), use_cache=False)
    return tuple(
        states[place].reshape(-1, *states[place].shape[-2:])[0, : recording.length]
        for place in range(len(recording.stream))
    )


@contextmanager
def _seen(parts: Parts) -> Iterator[dict[int, Tensor]]:
    """What enters every decoder layer, and what leaves the last, by place."""
    states: dict[int, Tensor] = {}

    def before(place: int) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
            states[place] = args[0] if args else options["hidden_states"]

        return hook

    def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        states[len(parts.layers)] = output[0] if isinstance(output, tuple) else output

    with ExitStack() as stack:
        for place, layer in enumerate(parts.layers):
            handle = layer.register_forward_pre_hook(before(place), with_kwargs=True)
            stack.callback(handle.remove)
        stack.callback(parts.layers[-1].register_forward_hook(after).remove)
        yield states
