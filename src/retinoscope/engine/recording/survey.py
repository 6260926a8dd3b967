"""Which module of a decoder layer does what: found by what one run shows, not by names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from retinoscope.engine.recording.taps import ATTENTION_SITES, AttentionTap, Missing, ModuleTap, Tap

_UNPROVED = "no module's output is what this layer adds to the residual stream"


@dataclass(frozen=True, eq=False)
class ModuleCall:
    """One module's run: what it was given and what came out."""

    module: nn.Module
    given: Tensor
    made: Tensor


@dataclass(frozen=True, eq=False)
class LayerRun:
    """One decoder layer's run.

    Attributes:
        layer: the layer.
        given: the residual stream it is given.
        made: the residual stream it gives.
        calls: every module inside, in the order in which they ended.
        attending: the modules that called the attention function, once for each call.
        crossing: the keys are image states.
        owner: the earlier layer whose keys and values it read, None for its own.
    """

    layer: nn.Module
    given: Tensor
    made: Tensor
    calls: Sequence[ModuleCall]
    attending: Sequence[nn.Module]
    crossing: bool
    owner: int | None

    @property
    def children(self) -> list[ModuleCall]:
        """The calls of the layer's own modules."""
        own = {id(module) for module in self.layer.children()}
        return [call for call in self.calls if id(call.module) in own]


def layer_taps(run: LayerRun) -> dict[str, Tap]:
    """A tap for every site of one layer."""
    taps: dict[str, Tap] = {
        "resid_pre": ModuleTap(run.layer, "input"),
        "resid_post": ModuleTap(run.layer, "output"),
    }
    taps |= _attention_steps(run)
    mixer = _mixer(run)
    middle = None if mixer is None else _middle(run, mixer)
    taps |= _attention(run, mixer, middle)
    taps |= _mlp(run, mixer, middle)
    return taps


def _attention_steps(run: LayerRun) -> dict[str, Tap]:
    reason = _not_attending(run)
    taps: dict[str, Tap] = {
        name: Missing(reason) if reason else AttentionTap() for name in ATTENTION_SITES
    }
    if not reason and (run.crossing or run.owner is not None):
        why = (
            "its keys and values are image states, not positions of the sequence"
            if run.crossing
            else f"it reads the keys and values of layer {run.owner}"
        )
        taps |= {"key": Missing(why), "value": Missing(why)}
    return taps


def _not_attending(run: LayerRun) -> str | None:
    if not run.attending:
        return "it mixes positions without attention (a convolution or a recurrence)"
    if len(run.attending) > 1:
        return f"it attends {len(run.attending)} times"
    return None


@dataclass(frozen=True, eq=False)
class _Middle:
    """Where the stream stands between attention and MLP, and what brought it there.

    Attributes:
        reader: the first module that is given it.
        added: the call whose output was added, the mixer's or its post-norm's.
        scaled: a gate or a scale stands between the two.
    """

    reader: ModuleCall
    added: ModuleCall
    scaled: bool


def _mixer(run: LayerRun) -> ModuleCall | None:
    """The layer's own module that attends, or else mixes positions in another way."""
    for call in run.children:
        inside = {id(module) for module in call.module.modules()}
        if any(id(module) in inside for module in run.attending):
            return call
    if not run.attending:
        for call in run.children:
            if _wide(call.module) and call.made.shape == run.given.shape:
                return call
    return None


def _middle(run: LayerRun, mixer: ModuleCall) -> _Middle | None:
    children = run.children
    behind = children[children.index(mixer) + 1 :]
    added = [mixer, *(c for c in behind if c.given is mixer.made and not _wide(c.module))]
    for reader in behind:
        if reader in added or reader.given is run.given or reader.given is mixer.given:
            continue
        for one in reversed(added):
            relation = _added(one.made, run.given, reader.given)
            if relation is not None:
                return _Middle(reader, one, scaled=relation == "multiple")
    return None


def _attention(run: LayerRun, mixer: ModuleCall | None, middle: _Middle | None) -> dict[str, Tap]:
    names = ("attn_in", "attn_out", "attn_out_post", "resid_mid")
    if mixer is None:
        return dict.fromkeys(names, Missing("its attention module is not one of its own modules"))
    if middle is not None:
        alone = Missing("what attention adds is scaled or gated on its way to the residual stream")
        taps: dict[str, Tap] = {
            "attn_in": ModuleTap(mixer.module, "input"),
            "attn_out": ModuleTap(mixer.module, "output"),
            "attn_out_post": alone if middle.scaled else ModuleTap(middle.added.module, "output"),
            "resid_mid": ModuleTap(middle.reader.module, "kept input"),
        }
    elif _parallel(run, mixer) is not None:
        taps = {
            "attn_in": ModuleTap(mixer.module, "input"),
            "attn_out": ModuleTap(mixer.module, "output"),
            "attn_out_post": ModuleTap(mixer.module, "output"),
            "resid_mid": Missing("its attention and its MLP run in parallel on the same input"),
        }
    else:
        return dict.fromkeys(names, Missing(_UNPROVED))
    if middle is not None and _last(run, middle) is None:
        # Kept by the stream is only what the layer's output is made of (BART norms it away).
        taps |= dict.fromkeys(names[2:], Missing("its sum with attention's output is not kept"))
    reason = _not_attending(run)
    if reason:
        taps |= dict.fromkeys(names[:3], Missing(reason))
    return taps


def _parallel(run: LayerRun, mixer: ModuleCall) -> ModuleCall | None:
    """The MLP whose output is added together with attention's."""
    if mixer.made.shape != run.given.shape:
        return None
    both = run.given + mixer.made
    others = (call for call in run.children if call is not mixer and _wide(call.module))
    return next((c for c in others if _added(c.made, both, run.made) == "whole"), None)


def _mlp(run: LayerRun, mixer: ModuleCall | None, middle: _Middle | None) -> dict[str, Tap]:
    names = ("mlp_in", "mlp_pre", "mlp_act", "mlp_out", "mlp_out_post")
    if middle is None:
        last = None if mixer is None else _parallel(run, mixer)
        if last is None:
            return dict.fromkeys(names, Missing(_UNPROVED))
        tap = ModuleTap(last.module, "output")
        taps: dict[str, Tap] = {"mlp_out": tap, "mlp_out_post": tap}
        taps["mlp_in"] = ModuleTap(last.module, "input")
        return taps | _neurons(run, last)
    behind = _behind(run, middle)
    found = _last(run, middle)
    if found is None:
        return dict.fromkeys(names, Missing(_UNPROVED))
    last, whole = found
    mlp = last if _wide(last.module) else _maker(behind, last.given)
    if mlp is None:
        return dict.fromkeys(names, Missing(_UNPROVED))
    scaled = Missing("what the MLP adds is scaled or gated on its way to the residual stream")
    readers = [call for call in behind if call.given is middle.reader.made]
    return {
        "mlp_in": ModuleTap(readers[0].module, "input")
        if len(readers) == 1
        else Missing("several modules read the MLP's input"),
        "mlp_out": ModuleTap(mlp.module, "output"),
        "mlp_out_post": ModuleTap(last.module, "output") if whole else scaled,
        **_neurons(run, mlp),
    }


def _behind(run: LayerRun, middle: _Middle) -> list[ModuleCall]:
    children = run.children
    return children[children.index(middle.reader) + 1 :]


def _last(run: LayerRun, middle: _Middle) -> tuple[ModuleCall, bool] | None:
    """The module whose output the MLP adds, and whether it is added as it is.

    More may be added behind it (the inputs of Gemma 4's single layers), so that the stream with
    the MLP's output is looked for in what later modules are given as well.
    """
    behind = _behind(run, middle)
    for after in [run.made, *(call.given for call in reversed(behind))]:
        for last in reversed(behind):
            relation = _added(last.made, middle.reader.given, after)
            if relation is not None:
                return last, relation == "whole"
    return None


def _neurons(run: LayerRun, mlp: ModuleCall) -> dict[str, Tap]:
    """The neurons of a dense MLP: what its last projection is given, and the activation's input."""
    inside = {id(module) for module in mlp.module.modules()}
    if mlp.module in list(run.layer.children()) and not list(mlp.module.children()):
        inside = {id(call.module) for call in run.children}
    calls = [call for call in run.calls if id(call.module) in inside and _leaf(call.module)]
    down = next((c for c in reversed(calls) if c.made is mlp.made and _wide(c.module)), None)
    if down is None or down.given.shape[:-1] != mlp.made.shape[:-1]:
        missing = Missing("its MLP has no single row of neurons (a mixture of experts, or fused)")
        return {"mlp_pre": missing, "mlp_act": missing}
    made = [(_maker(calls, c.given), c) for c in calls if not list(c.module.parameters())]
    ups = [up for up, _ in made if up is not None and _wide(up.module) and up is not down]
    pre: Tap = Missing("its activation's input is not a module's output (fused, or no module)")
    if len(ups) == 1 and ups[0].made.shape == down.given.shape:
        pre = ModuleTap(ups[0].module, "output")
    return {"mlp_pre": pre, "mlp_act": ModuleTap(down.module, "input")}


def _maker(calls: Iterable[ModuleCall], made: Tensor) -> ModuleCall | None:
    return next((call for call in calls if call.made is made), None)


def _wide(module: nn.Module) -> bool:
    """It holds a matrix, so it is no norm, activation or dropout."""
    return any(parameter.ndim > 1 for parameter in module.parameters())


def _leaf(module: nn.Module) -> bool:
    return not list(module.children())


def _added(part: Tensor, before: Tensor, after: Tensor) -> Literal["whole", "multiple"] | None:
    """Whether a part is what one state is more than another, or a multiple of it; None if neither.

    The multiple may differ from position to position (gates, masks).

    Args:
        part: what may have been added.
        before: a state; some layers (OPT) work on positions without a batch, so shapes may differ.
        after: a later one.
    """
    if not part.numel() == before.numel() == after.numel():
        return None
    before, after = before.reshape_as(after), after.double()
    given, got = part.reshape_as(after).double(), after - before
    close = (1e-5 if part.dtype == torch.float32 else 3e-2) * float(after.abs().max())
    if torch.allclose(given, got, rtol=0, atol=close):
        return "whole"
    factor = (given * got).sum(-1, keepdim=True) / (given * given).sum(-1, keepdim=True)
    factor = factor.nan_to_num()
    if float(factor.abs().max()) < 1e-3 or not torch.allclose(
        given * factor, got, rtol=0, atol=close
    ):
        return None
    return "multiple"
