"""Hooks on a model for the length of one forward pass, for whoever listens to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from retinoscope.engine.recording.attention import AttentionCall, attending
from retinoscope.models import Parts


class PassHooks(ABC):
    """Listens to one forward pass of the model; nothing is changed by it.

    Hooks of others stay in force: layers are heard before others' pre-hooks (see `first`) and after
    others' forward hooks, so that calling the layer again goes through those hooks once again.

    Attributes:
        parts: of the model.
        index: as `layer_index`.
    """

    first = True
    """Whether layers are heard before others' pre-hooks, or after them."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.index = layer_index(parts)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to every pass of the model; the hooks are gone on leaving."""
        with ExitStack() as stack:
            for hook in self.hooks():
                stack.callback(hook.remove)
            stack.enter_context(attending(self.parts.decoder, self.attend))
            yield

    def hooks(self) -> Iterator[RemovableHandle]:
        """Register every hook."""
        for index, layer in enumerate(self.parts.layers):
            before = partial(self._before, index)
            yield layer.register_forward_pre_hook(before, prepend=self.first, with_kwargs=True)
            yield layer.register_forward_hook(partial(self._after, index))
        for module in self.parts.decoder.modules():
            if id(module) not in self.index and not list(module.children()):
                yield module.register_forward_hook(self._outside)
        yield self.parts.head.register_forward_hook(self._head)

    @abstractmethod
    def attend(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """A layer attends."""

    @abstractmethod
    def enter(self, index: int, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        """A layer is called."""

    @abstractmethod
    def leave(self, index: int, output: Any) -> None:
        """A layer returns."""

    @abstractmethod
    def behind(self, module: nn.Module, given: Any, output: Any) -> None:
        """A module of the decoder that is no part of a layer ran."""

    @abstractmethod
    def unembedded(self, output: Tensor) -> None:
        """The unembedding ran."""

    def _before(
        self, index: int, _: nn.Module, args: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        self.enter(index, args, options)

    def _after(self, index: int, _: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.leave(index, output)

    def _outside(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self.behind(module, args[0] if args else None, output)

    def _head(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.unembedded(output)


def layer_index(parts: Parts) -> dict[int, int]:
    """The decoder layer that each module is part of, by the module's id."""
    return {id(part): i for i, layer in enumerate(parts.layers) for part in layer.modules()}
