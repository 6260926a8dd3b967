"""Run stacked decoders over rows, compiled where the device gains by it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recipes.stack.decoder import Decoder, Layer, Rows, RunLayer, lay_rows, run_layer
from recipes.stack.tower import RunTowerLayer, run_tower_layer


@dataclass(frozen=True)
class Runs:
    """How layers are run: plainly, or compiled.

    Attributes:
        decoder: runs a layer of decoders.
        tower: runs a layer of towers.
        dtype: of activations.
    """

    decoder: RunLayer = run_layer
    tower: RunTowerLayer = run_tower_layer
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class Passed:
    """What a pass over rows left.

    Attributes:
        last: the residual stream after the last layer, (models, n, length, width).
        states: the residual stream before each layer that was asked for, by its number; the last
            number is the stream after the last layer.
        seen: queries and keys of the layers that were asked for.
        rows: positions and mask.
    """

    last: Float[Tensor, "models n length width"]
    states: dict[int, Tensor] = field(default_factory=dict)
    seen: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    rows: Rows | None = None


def make_runs(device: torch.device, compiled: bool = False) -> Runs:
    """Choose how layers are run on a device: in bfloat16 on CUDA, in float32 elsewhere.

    Args:
        device: where.
        compiled: whether the layers of decoders are compiled, which takes a while for every shape.
    """
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    if not compiled:
        return Runs(dtype=dtype)
    fast = torch.compile(_decoder_layer, dynamic=False)

    def run(x: Tensor, layer: Layer, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        weights = (layer.qkv, layer.out, layer.up, layer.down)
        return fast(x, *weights, rows.cos, rows.sin, rows.mask)

    return Runs(run, dtype=dtype)


def _decoder_layer(
    x: Tensor,
    qkv: Tensor,
    out: Tensor,
    up: Tensor,
    down: Tensor,
    cos: Tensor,
    sin: Tensor,
    mask: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    return run_layer(x, Layer(qkv, out, up, down), Rows(cos, sin, mask))


def run_decoder(
    decoder: Decoder,
    inputs: Float[Tensor, "models n length width"],
    positions: Int[Tensor, "models n length"],
    blocks: Int[Tensor, "models n length"],
    runs: Runs,
    keep: Collection[int] = (),
    watch: Collection[int] = (),
) -> Passed:
    """Run the decoders over rows.

    Args:
        decoder: the stack.
        inputs: embedded rows.
        positions: as `lay_rows` takes them.
        blocks: likewise.
        runs: how layers are run.
        keep: which states are kept.
        watch: of which layers queries and keys are kept.
    """
    models, n, length, width = inputs.shape
    rows = lay_rows(
        positions.flatten(0, 1), blocks.flatten(0, 1), decoder.shape.head_width, inputs.dtype
    )
    x = inputs.reshape(models, n * length, width)
    states, seen = {}, {}
    layers = decoder.layers(inputs.dtype)
    for number, layer in enumerate(layers):
        if number in keep:
            states[number] = x.view(models, n, length, width)
        x, queries, keys = runs.decoder(x, layer, rows)
        if number in watch:
            seen[number] = (queries, keys)
    if len(layers) in keep:
        states[len(layers)] = x.view(models, n, length, width)
    return Passed(x.view(models, n, length, width), states, seen, rows)
