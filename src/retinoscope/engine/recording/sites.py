"""Where every site of a model is, proved on one run of it; what it has not, and why."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from retinoscope.engine.recording.attention import AttentionCall, attending
from retinoscope.engine.recording.survey import LayerRun, ModuleCall, layer_taps
from retinoscope.engine.recording.taps import (
    AttentionTap,
    Missing,
    ModuleTap,
    Tap,
    first_input,
    first_output,
)
from retinoscope.errors import InterventionError
from retinoscope.interventions import Site
from retinoscope.models import Checkpoint, Encoded, Parts


@dataclass(frozen=True, eq=False, repr=False)
class SiteTable:
    """Every site of one model.

    Attributes:
        name: of the model, for messages.
        taps: how each is reached, or why it is not there.
        shapes: of those that are there: what they hold at one position; the number of keys, which
            is the prompt's, is left out of `attn_scores` and `attn_probs`.
    """

    name: str
    taps: Mapping[Site, Tap]
    shapes: Mapping[Site, tuple[int, ...]]

    def tap(self, site: Site) -> ModuleTap | AttentionTap:
        """How a site is reached.

        Raises:
            InterventionError: the model has no such site; the message says why.
        """
        tap = self.taps.get(site, Missing("the model has no such layer"))
        if isinstance(tap, Missing):
            raise InterventionError(
                f"{self.name} has no site {site}: {tap.reason}. The sites that it has are listed "
                "by view.sites."
            )
        return tap

    @property
    def missing(self) -> dict[str, tuple[Site, ...]]:
        """What the model has not, by the reason."""
        found: dict[str, tuple[Site, ...]] = {}
        for site, tap in self.taps.items():
            if isinstance(tap, Missing):
                found[tap.reason] = (*found.get(tap.reason, ()), site)
        return found

    @property
    def remark(self) -> str:
        """What the model has not and why, in one line; "" where it has every site."""
        layers = max((site.layer or 0 for site in self.taps), default=0) + 1
        parts: list[str] = []
        for reason, sites in self.missing.items():
            names = list(dict.fromkeys(site.name for site in sites))
            some = len({site.layer for site in sites}) < layers and sites[0].layer is not None
            parts.append(f"no {', '.join(names)}{' in some layers' if some else ''}: {reason}")
        return "; ".join(parts)

    def __str__(self) -> str:
        there = [site.name for site, tap in self.taps.items() if not isinstance(tap, Missing)]
        return f"{self.name} has {', '.join(dict.fromkeys(there))}" + (
            f"; {self.remark}." if self.remark else "."
        )

    def __repr__(self) -> str:
        return str(self)


_tables: WeakKeyDictionary[PreTrainedModel, SiteTable] = WeakKeyDictionary()


def sites_of(checkpoint: Checkpoint, encoded: Encoded) -> SiteTable:
    """The sites of a model, found on its first prompt and remembered while it lives."""
    if checkpoint.model not in _tables:
        with torch.no_grad(), _Survey(checkpoint.parts) as survey:
            checkpoint.model(**encoded.inputs, use_cache=False)
        _tables[checkpoint.model] = SiteTable(checkpoint.name, survey.taps, survey.shapes)
    return _tables[checkpoint.model]


class _Survey:
    """Watches one run layer by layer, and holds the tensors of one layer at a time."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.taps: dict[Site, Tap] = {
            Site("embeddings"): ModuleTap(parts.layers[0], "input"),
            Site("final_norm"): Missing(
                "no module that receives the last layer's output was found"
            ),
            Site("lm_head"): ModuleTap(parts.head, "output"),
        }
        self.shapes: dict[Site, tuple[int, ...]] = {}
        self._index = {
            id(part): i for i, layer in enumerate(parts.layers) for part in layer.modules()
        }
        self._given: Tensor | None = None
        self._calls: list[ModuleCall] = []
        self._attended: list[tuple[AttentionCall, Tensor]] = []
        self._owners: dict[int, tuple[int, Tensor]] = {}
        self._last: Tensor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> _Survey:
        with ExitStack() as stack:
            for index, layer in enumerate(self.parts.layers):
                stack.callback(
                    layer.register_forward_pre_hook(self._enter, with_kwargs=True).remove
                )
                for module in layer.modules():
                    if module is not layer:
                        hook = module.register_forward_hook(self._note, with_kwargs=True)
                        stack.callback(hook.remove)
                stack.callback(layer.register_forward_hook(self._leave(index)).remove)
            for module in self.parts.decoder.modules():
                if id(module) not in self._index and not list(module.children()):
                    stack.callback(module.register_forward_hook(self._seek_norm).remove)
            stack.callback(self.parts.head.register_forward_hook(self._head).remove)
            stack.enter_context(attending(self.parts.decoder, self))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def __call__(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend as ever, and note it."""
        output = call.run()
        if id(call.module) in self._index:
            self._attended.append((call, output[0]))
        return output

    def _enter(self, _: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self._given = first_input(args, options)
        self._calls, self._attended = [], []

    def _note(
        self, module: nn.Module, args: tuple[Any, ...], options: dict[str, Any], output: Any
    ) -> None:
        given, made = first_input(args, options), first_output(output)
        if given is not None and made is not None:
            self._calls.append(ModuleCall(module, given, made))

    def _leave(self, index: int) -> Any:
        def hook(layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            made = first_output(output)
            assert made is not None and self._given is not None
            run = LayerRun(
                layer,
                self._given,
                made,
                self._calls,
                [call.module for call, _ in self._attended],
                any(call.crossing for call, _ in self._attended),
                self._owner(index),
            )
            for name, tap in layer_taps(run).items():
                self.taps[Site(name, index)] = tap
                if isinstance(tap, ModuleTap):
                    self.shapes[Site(name, index)] = self._width(tap, run)
            self._shape_attention(index)
            self._calls, self._attended, self._last = [], [], made
            if index == 0:
                self.shapes[Site("embeddings")] = run.given.shape[-1:]

        return hook

    def _width(self, tap: ModuleTap, run: LayerRun) -> tuple[int, ...]:
        if tap.module is run.layer:
            return tuple(run.given.shape[-1:])
        call = next(call for call in run.calls if call.module is tap.module)
        return tuple((call.made if tap.side == "output" else call.given).shape[-1:])

    def _owner(self, index: int) -> int | None:
        """The earlier layer whose keys this one read, told by their tensor."""
        if not self._attended:
            return None
        key = self._attended[0][0].key
        owner, _ = self._owners.setdefault(id(key), (index, key))
        return None if owner == index else owner

    def _shape_attention(self, index: int) -> None:
        if len(self._attended) != 1:
            return
        call, output = self._attended[0]
        fields = {"query": call.query, "key": call.key, "value": call.value}
        for name, tensor in fields.items():
            self.shapes[Site(name, index)] = (tensor.shape[1], tensor.shape[3])
        self.shapes[Site("z", index)] = tuple(output.shape[2:])
        for name in ("attn_scores", "attn_probs"):
            keys = (call.key.shape[2],) if call.crossing else ()
            self.shapes[Site(name, index)] = (call.query.shape[1], *keys)

    def _seek_norm(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        made = first_output(output)
        if self._last is not None and args and args[0] is self._last and made is not None:
            self.taps[Site("final_norm")] = ModuleTap(module, "output")
            self.shapes[Site("final_norm")] = tuple(made.shape[-1:])

    def _head(self, _: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        self.shapes[Site("lm_head")] = tuple(output.shape[-1:])
