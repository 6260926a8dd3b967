"""How a site is reached while the model runs: at a module, or in its attention function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from retinoscope.interventions import Site

ATTENTION_SITES = ("query", "key", "value", "attn_scores", "attn_probs", "z")
"""Steps of the attention function, in its order."""

WEIGHTS = ("attn_scores", "attn_probs")
"""Steps that hold one number for each head and key."""

Visit = Callable[[Site, Tensor], Tensor]
"""Is given a site's state, [rows, positions, ...], as it is computed; what it returns goes on."""


@dataclass(frozen=True, eq=False)
class Looking:
    """Sites whose states are looked at as they are computed, after they were changed.

    Attributes:
        sites: which.
        visit: what is done there.
    """

    sites: frozenset[Site]
    visit: Visit

    def at(self, site: Site, state: Tensor) -> Tensor:
        """The state, visited if its site is looked at."""
        return self.visit(site, state) if site in self.sites else state


NOWHERE = Looking(frozenset(), lambda _, state: state)
"""Nothing is looked at."""


@dataclass(frozen=True, eq=False)
class ModuleTap:
    """A module's first input or its (first) output.

    Attributes:
        module: the module.
        side: "kept input" is an input that the residual stream keeps as well, so that only a
            change in place reaches both.
    """

    module: nn.Module
    side: Literal["input", "kept input", "output"]


@dataclass(frozen=True)
class AttentionTap:
    """A step of the layer's attention function."""


@dataclass(frozen=True)
class Missing:
    """The model has no such site.

    Attributes:
        reason: why, as the end of a sentence.
    """

    reason: str


Tap = ModuleTap | AttentionTap | Missing


@contextmanager
def tapped(taps: Iterable[tuple[Site, ModuleTap]], visit: Visit) -> Iterator[None]:
    """Visit sites of modules in every forward pass; the hooks are gone on leaving."""
    ordered = sorted(taps, key=lambda pair: pair[0].order)
    with ExitStack() as stack:
        for site, tap in reversed(ordered):
            if tap.side != "output":
                # Before others' hooks; of two sites at one input the later is put in front first.
                hook = tap.module.register_forward_pre_hook(
                    _before(site, tap, visit), prepend=True, with_kwargs=True
                )
                stack.callback(hook.remove)
        for site, tap in ordered:
            if tap.side == "output":
                hook = tap.module.register_forward_hook(_after(site, visit))
                stack.callback(hook.remove)
        yield


def first_input(args: tuple[Any, ...], options: dict[str, Any]) -> Tensor | None:
    """What a module is given to work on, by position or as `hidden_states`."""
    given = args[0] if args else options.get("hidden_states")
    return given if isinstance(given, Tensor) else None


def first_output(output: Any) -> Tensor | None:
    """What a module gives, alone or first of several."""
    given = output[0] if isinstance(output, tuple) and output else output
    return given if isinstance(given, Tensor) else None


def _visited(visit: Visit, site: Site, state: Tensor) -> Tensor:
    """The visit of a state that may have all positions of all rows in one dimension (OPT)."""
    if state.ndim > 2:
        return visit(site, state)
    batch = state[None]
    changed = visit(site, batch)
    return state if changed is batch else changed[0]


def _before(site: Site, tap: ModuleTap, visit: Visit) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        state = first_input(args, options)
        assert state is not None
        changed = _visited(visit, site, state)
        if changed is state:
            return None
        if tap.side == "kept input":
            state.copy_(changed)
            return None
        if args:
            return (changed, *args[1:]), options
        return args, options | {"hidden_states": changed}

    return hook


def _after(site: Site, visit: Visit) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        state = first_output(output)
        assert state is not None
        changed = _visited(visit, site, state)
        if changed is state:
            return None
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    return hook
