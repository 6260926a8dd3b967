"""Turn batches into what stacked decoders read: words and visual tokens in one row."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recipes.embedded.loading import Batch
from recipes.embedded.rows import BEFORE, PADDING
from recipes.stack.decoder import Decoder
from recipes.stack.shape import GRID, PATCHES


def fit_visual(batch: Batch, visual: int) -> Batch:
    """Give the contexts of images another number of visual tokens; rows stay a multiple of 8.

    Args:
        batch: rows about images, whose contexts have 144.
        visual: the number they shall have.
    """
    if visual == PATCHES:
        return batch
    first, rest = BEFORE + PATCHES, batch.tokens.shape[-1] - BEFORE - PATCHES
    pad = -(BEFORE + visual + rest) % 8

    def put(name: str, middle: Tensor, shift: int, fill: int) -> Tensor:
        x = getattr(batch, name)
        middle = middle.to(x).expand(*x.shape[:-1], visual)
        return F.pad(
            torch.cat([x[..., :BEFORE], middle, x[..., first:] + shift], -1), (0, pad), value=fill
        )

    device = batch.tokens.device
    image = batch.tokens[..., BEFORE : BEFORE + 1]
    return replace(
        batch,
        tokens=put("tokens", image, 0, 0),
        positions=put(
            "positions", BEFORE + torch.arange(visual, device=device), visual - PATCHES, 0
        ),
        blocks=put("blocks", torch.zeros(1, device=device), 0, PADDING),
        answers=put("answers", torch.zeros(1, device=device), 0, 0),
    )


def embed_rows(
    decoder: Decoder,
    tokens: Int[Tensor, "models n length"],
    visual: Float[Tensor, "models images visual width"],
) -> Float[Tensor, "models n length width"]:
    """Embed rows; the first rows are about images, whose visual tokens are put in."""
    words = decoder.words(tokens, visual.dtype)
    images, count = visual.shape[1:3]
    shown = words[:, :images]
    shown = torch.cat([shown[:, :, :BEFORE], visual, shown[:, :, BEFORE + count :]], 2)
    return torch.cat([shown, words[:, images:]], 1)


def erased_cells(erased: Int[Tensor, "*n 4"]) -> Bool[Tensor, "*n 144"]:
    """Say which patches lie in (first row, first column, past row, past column)."""
    cells = torch.arange(PATCHES, device=erased.device)
    row, column = cells // GRID, cells % GRID
    top, left, bottom, right = (each[..., None] for each in erased.unbind(-1))
    return (row >= top) & (row < bottom) & (column >= left) & (column < right)


def erase(
    visual: Float[Tensor, "models n 144 width"], cells: Bool[Tensor, "models n 144"]
) -> Tensor:
    """Let visual tokens give way to the mean one of their model."""
    mean = visual.detach().mean((1, 2), keepdim=True)
    return torch.where(cells[..., None], mean, visual)
