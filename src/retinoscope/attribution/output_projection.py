"""A layer's output projection: what stands between its heads and what its attention module gives.

Found in one run, not by its name: the module that holds a matrix and whose output is the attention
module's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from retinoscope.engine import Recording
from retinoscope.engine.recording.taps import ModuleTap, first_input, first_output
from retinoscope.interventions import Site


@dataclass(frozen=True, eq=False)
class Projection:
    """One layer's output projection in one run.

    Attributes:
        module: an affine module.
        given: its input, all heads side by side.
    """

    module: nn.Module
    given: Float[Tensor, "positions width"]


@contextmanager
def output_projections(
    recording: Recording, layers: Sequence[int], positions: Sequence[int]
) -> Iterator[Mapping[int, Projection]]:
    """The output projections of some layers, filled in by the forward pass that runs inside.

    Yields:
        By layer; a layer whose attention module does not end in a matrix stays out.
    """
    found: dict[int, Projection] = {}
    with ExitStack() as stack:
        for layer in layers:
            tap = recording.tap(Site("attn_out", layer))
            assert isinstance(tap, ModuleTap)
            for hook in _watched(tap.module, layer, list(positions), found):
                stack.callback(hook.remove)
        yield found


def _watched(
    attention: nn.Module, layer: int, positions: list[int], found: dict[int, Projection]
) -> Iterator[Any]:
    last: list[tuple[nn.Module, Tensor, Tensor]] = []

    def note(module: nn.Module, args: tuple[Any, ...], options: dict[str, Any], out: Any) -> None:
        given, made = first_input(args, options), first_output(out)
        if given is not None and made is not None:
            last.append((module, given, made))

    def end(_: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        made = first_output(out)
        # The outermost module of those that give it: an adapter with the matrix that it adapts.
        for module, given, its in reversed(last):
            if its is made:
                rows = given.reshape(-1, given.shape[-1])[positions]
                found[layer] = Projection(module, rows.clone())
                break
        last.clear()

    for module in attention.modules():
        if module is not attention and any(p.ndim > 1 for p in module.parameters()):
            yield module.register_forward_hook(note, with_kwargs=True)
    yield attention.register_forward_hook(end)


def pulled_back(
    module: nn.Module, direction: Float[Tensor, "positions out"], width: int
) -> tuple[Float[Tensor, "positions width"], Float[Tensor, " positions"]]:
    """A direction behind an affine module as one before it, and what its bias adds along it.

    Args:
        module: affine, such as a linear layer, quantised or adapted.
        direction: one for each position.
        width: of its input.

    Returns:
        Float64 on the CPU.
    """
    parameter = next(module.parameters())
    kind = parameter.dtype if parameter.is_floating_point() else torch.float32
    with torch.enable_grad():
        origin = torch.zeros(
            *(len(direction), width), dtype=kind, device=parameter.device, requires_grad=True
        )
        made = module(origin)
        (found,) = torch.autograd.grad(made, origin, direction.to(made))
    bias = (made.detach().double().cpu() * direction.double().cpu()).sum(-1)
    return found.double().cpu(), bias
