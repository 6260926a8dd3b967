"""What each decoder layer adds to the residual stream: its attention's part and its MLP's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.output_projection import Projection, output_projections
from retinoscope.engine import Recording
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.states import full_states
from retinoscope.errors import ModelError
from retinoscope.interventions import Condition, Site, as_condition

States = Float[Tensor, "positions width"]


@dataclass(frozen=True, eq=False)
class LayerParts:
    """What one layer adds at some positions, float64 on the CPU.

    Attributes:
        attention: what its attention adds.
        mlp: what its MLP adds.
        between: what the model itself adds behind the layer (DeepStack), mostly zero.
        made: what its attention module gives, before any post-norm or scale; the same where there
            is none, and where the layer has no attention module.
        z: its heads' outputs, [positions, heads, width], where it has them.
        projection: what stands behind its heads, where that was found.
    """

    attention: States
    mlp: States
    between: States
    made: States
    z: Tensor | None
    projection: Projection | None


@dataclass(frozen=True, eq=False)
class Additions:
    """The parts of which the stream at a place is the sum.

    Attributes:
        embedding: the input of the first layer.
        layers: the parts of each layer below the place.
        whole: the state at the place, in the model's precision and on its device.
    """

    embedding: States
    layers: tuple[LayerParts, ...]
    whole: States


def additions(
    recording: Recording, condition: Condition, positions: Sequence[int], place: int
) -> Additions:
    """Take a run apart, up to a place of the stream, in one forward pass.

    Raises:
        ModelError: a layer adds something else than its attention and its MLP, or scales the
            stream.
        InterventionError: a layer's attention or MLP can't be told apart, or an intervention
            can't be applied.
    """
    last = place_name(place, recording)
    sites = {last, Site("resid_pre", 0)}
    for layer in range(place):
        sites |= _needed(recording, layer)
    attending = [layer for layer in range(place) if Site("attn_out", layer) in sites]
    for site in sites:
        recording.tap(site)
    edits = Checked(recording).edits(as_condition(condition))
    # One full pass, for states and projections to be of the same: a replay rounds otherwise.
    with torch.no_grad(), output_projections(recording, attending, positions) as projections:
        states = full_states(recording, list(sites), edits, positions)
    held = {site: state.double().cpu() for site, state in states.items()}
    layers = tuple(_parts(recording, layer, held, projections) for layer in range(place))
    return Additions(held[Site("resid_pre", 0)], layers, states[last])


def place_name(place: int, recording: Recording) -> Site:
    """The site of a place of the stream."""
    if place == recording.layer_count:
        return Site("resid_post", place - 1)
    return Site("resid_pre", place)


def _needed(recording: Recording, layer: int) -> set[Site]:
    """The sites from which a layer's parts are told."""
    found = {Site("resid_pre", layer), Site("resid_post", layer)}
    if layer + 1 < recording.layer_count:
        found.add(Site("resid_pre", layer + 1))
    optional = ("attn_out", "attn_out_post", "mlp_out_post", "z")
    found |= {Site(name, layer) for name in optional if recording.has(Site(name, layer))}
    if not {Site("attn_out_post", layer), Site("mlp_out_post", layer)} <= found:
        # Scaled or gated on its way (Granite): then the stream in the middle tells.
        found.add(Site("resid_mid", layer))
    return found


def _parts(
    recording: Recording,
    layer: int,
    held: Mapping[Site, Tensor],
    projections: Mapping[int, Projection],
) -> LayerParts:
    def at(name: str, otherwise: Tensor) -> Tensor:
        return held.get(Site(name, layer), otherwise)

    entered, left = held[Site("resid_pre", layer)], held[Site("resid_post", layer)]
    middle = at("resid_mid", entered)
    attention = at("attn_out_post", middle - entered)
    mlp = at("mlp_out_post", left - middle)
    _check(recording, layer, entered + attention + mlp, left)
    return LayerParts(
        attention=attention,
        mlp=mlp,
        between=held.get(Site("resid_pre", layer + 1), left) - left,
        made=at("attn_out", attention),
        z=held.get(Site("z", layer)),
        projection=projections.get(layer),
    )


def _check(recording: Recording, layer: int, parts: States, whole: States) -> None:
    """Refuse a layer of which more is made than its attention and its MLP.

    Raises:
        ModelError: their sum is not what left the layer.
    """
    exact = recording.stream[0].dtype in (torch.float32, torch.float64)
    close = (1e-5 if exact else 3e-2) * float(whole.abs().max())
    missed = float((parts - whole).abs().max())
    if missed > close:
        raise ModelError(
            f"Layer {layer} of {recording.checkpoint.name} adds more to the residual stream than "
            f"its attention and its MLP, or scales the stream (missed by {missed:.2g}), so that a "
            "logit can't be shared out over them."
        )
