"""Where every site of a model is, proved on one run of it; what it has not, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from retinoscope.engine.recording.attention import AttentionCall
from retinoscope.engine.recording.hooks import PassHooks
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


def sites_of(checkpoint: Checkpoint, encoded: Encoded) -> SiteTable:
    """The sites of a model, found on its first prompt and remembered."""
    table: SiteTable | None = checkpoint.found.get(SiteTable)
    if table is None:
        survey = _Survey(checkpoint.parts)
        with torch.no_grad(), survey.listening():
            checkpoint.model(**encoded.inputs, use_cache=False)
        table = SiteTable(checkpoint.name, survey.taps, survey.shapes)
        checkpoint.found[SiteTable] = table
    return table


class _Survey(PassHooks):
    """Surveys one run layer by layer, and holds the tensors of one layer at a time."""

    first = False

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.taps: dict[Site, Tap] = {
            Site("embeddings"): ModuleTap(parts.layers[0], "input"),
            Site("final_norm"): Missing(
                "no module that receives the last layer's output was found"
            ),
            Site("lm_head"): ModuleTap(parts.head, "output"),
        }
        self.shapes: dict[Site, tuple[int, ...]] = {}
        self._given: Tensor | None = None
        self._calls: list[ModuleCall] = []
        self._attended: list[tuple[AttentionCall, Tensor]] = []
        self._owners: dict[int, tuple[int, Tensor]] = {}
        self._last: Tensor | None = None

    def hooks(self) -> Iterator[RemovableHandle]:
        """Those of the pass, and one on every module inside a layer."""
        for layer in self.parts.layers:
            for module in layer.modules():
                if module is not layer:
                    yield module.register_forward_hook(self._note, with_kwargs=True)
        yield from super().hooks()

    def attend(self, call: AttentionCall) -> tuple[Tensor, Tensor | None]:
        """Attend as ever, and note it."""
        output = call.run()
        if id(call.module) in self.index:
            self._attended.append((call, output[0]))
        return output

    def enter(self, index: int, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Forget the layer before."""
        self._given = first_input(args, options)
        self._calls, self._attended = [], []

    def _note(
        self, module: nn.Module, args: tuple[Any, ...], options: dict[str, Any], output: Any
    ) -> None:
        given, made = first_input(args, options), first_output(output)
        if given is not None and made is not None:
            self._calls.append(ModuleCall(module, given, made))

    def leave(self, index: int, output: Any) -> None:
        """Find the layer's sites."""
        made = first_output(output)
        assert made is not None and self._given is not None
        run = LayerRun(
            self.parts.layers[index],
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

    def behind(self, module: nn.Module, given: Any, output: Any) -> None:
        """Find the final norm: it receives the last layer's output."""
        made = first_output(output)
        if self._last is not None and given is self._last and made is not None:
            self.taps[Site("final_norm")] = ModuleTap(module, "output")
            self.shapes[Site("final_norm")] = tuple(made.shape[-1:])

    def unembedded(self, output: Tensor) -> None:
        """Note the vocabulary."""
        self.shapes[Site("lm_head")] = tuple(output.shape[-1:])
