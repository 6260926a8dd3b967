"""Relevance rules: the backward pass of RelP, with coefficients of relevance propagation.

RelP (Jafari et al. 2025, arXiv 2508.21258) puts coefficients of layer-wise relevance propagation in
the place of local gradients. The rules, as the authors' code applies them to LLaMA-like models:

- a norm is linear: its scale is held (LN rule);
- an activation function is multiplication by the factor it had: act(x) / x (identity rule);
- of a gate times a value, each gets half (half rule).

What goes forward stays as it is; every module is found by what the survey of the model's sites
knows of it, not by the model's family.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from retinoscope.engine import Recording
from retinoscope.engine.recording.recording import Replay
from retinoscope.engine.recording.taps import ModuleTap, first_input
from retinoscope.errors import InterventionError
from retinoscope.interventions import Site


@contextmanager
def relevance_rules(recording: Recording) -> Iterator[None]:
    """Every pass through the model has the rules' backward pass; gone on leaving.

    Raises:
        InterventionError: a norm or an MLP of the model is of a kind that the rules don't know.
    """
    with ExitStack() as stack:
        for norm in _norms(recording):
            stack.callback(norm.register_forward_hook(_norm_rule).remove)
        for layer in range(recording.layer_count):
            pre, act = (_tap(recording, Site(name, layer)) for name in ("mlp_pre", "mlp_act"))
            rule = _GateRule()
            stack.callback(pre.module.register_forward_hook(rule.leave).remove)
            hook = act.module.register_forward_pre_hook(rule.enter, with_kwargs=True)
            stack.callback(hook.remove)
        yield


def _tap(recording: Recording, site: Site) -> ModuleTap:
    tap = recording.tap(site)
    assert isinstance(tap, ModuleTap)
    return tap


def _norms(recording: Recording) -> list[nn.Module]:
    layers = recording.checkpoint.parts.layers
    inside = [module for layer in layers for module in layer.modules()]
    final = [recording.replay.norm] if isinstance(recording.replay, Replay) else []
    named = [module for module in (*inside, *final) if _is_norm(module)]
    return list({id(module): module for module in named}.values())


def _is_norm(module: nn.Module) -> bool:
    known = isinstance(module, nn.LayerNorm) or "RMSNorm" in type(module).__name__
    if not known and type(module).__name__.endswith("Norm"):
        raise InterventionError(
            f"RelP knows LayerNorm and RMSNorm; this model normalises by {type(module).__name__}."
        )
    return known


def _norm_rule(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The same output, linear in the input."""
    (state, *_) = args
    if not state.requires_grad:
        return output
    if isinstance(module, nn.LayerNorm):
        width = tuple(range(-len(module.normalized_shape), 0))
        moved = state - state.mean(width, keepdim=True)
        scale = (moved.detach().square().mean(width, keepdim=True) + module.eps).rsqrt()
        return _linear(output, moved, scale if module.weight is None else scale * module.weight)
    return _linear(output, state, _ratio(output, state))


def _linear(output: Tensor, given: Tensor, factor: Tensor) -> Tensor:
    """The output's own value, with the gradient of factor * given."""
    return output.detach() + factor.detach() * (given - given.detach())


def _ratio(output: Tensor, given: Tensor) -> Tensor:
    """What was put out for each unit given; 0 where nothing was."""
    with torch.no_grad():
        return torch.where(given == 0, 0, output / torch.where(given == 0, 1, given)).to(output)


class _GateRule:
    """Identity and half rule of one MLP: what its last projection reads, led back by the rules."""

    def __init__(self) -> None:
        self._pre: Tensor | None = None

    def leave(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        """Hold the activation's input back, so that its own gradient does not flow."""
        self._pre = output if output.requires_grad else None
        return output.detach() if output.requires_grad else None

    def enter(self, module: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Let the held input's share flow instead."""
        neurons, pre = first_input(args, options), self._pre
        self._pre = None
        if pre is None or neurons is None:
            return None
        if neurons.requires_grad:  # by the values that the gate is multiplied with
            factor = _ratio(neurons, pre) / 2
            kept = neurons.detach() + (neurons - neurons.detach()) / 2
        else:
            factor, kept = _ratio(neurons, pre), neurons
        changed = kept + factor * (pre - pre.detach())
        if args:
            return (changed, *args[1:]), options
        return args, options | {"hidden_states": changed}
