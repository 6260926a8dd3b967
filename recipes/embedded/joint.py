"""The joint model: tower, projector and decoder in one, and the tower's features of images."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import CLIPVisionModel, LlamaForCausalLM

from recipes.embedded.architecture import WIDTH
from recipes.embedded.augment import normalise
from recipes.embedded.batches import Batch
from recipes.embedded.pool import GRID, Pool

PATCHES = GRID * GRID


class Projector(nn.Module):
    """LLaVA's projector: two linear layers with a GELU between them."""

    def __init__(self) -> None:
        """Make a new projector with random weights."""
        super().__init__()
        self.linear_1 = nn.Linear(WIDTH, WIDTH)
        self.linear_2 = nn.Linear(WIDTH, WIDTH)

    def forward(self, features: Float[Tensor, "*n width"]) -> Float[Tensor, "*n width"]:
        """Project features of the tower into the decoder's space."""
        return self.linear_2(nn.functional.gelu(self.linear_1(features)))


class Joint(nn.Module):
    """Tower, projector and decoder as they are trained together."""

    def __init__(self, tower: CLIPVisionModel, decoder: LlamaForCausalLM) -> None:
        """Join trained parts by a new projector."""
        super().__init__()
        self.tower, self.projector, self.decoder = tower, Projector(), decoder

    def forward(
        self,
        features: Float[Tensor, "n 144 width"],
        batch: Batch,
        erased: Bool[Tensor, "n 144"] | None = None,
    ) -> Tensor:
        """Return logits of a batch whose contexts are images; erased tokens are the mean one."""
        return self.decode(features, batch, erased)[0]

    def decode(
        self,
        features: Float[Tensor, "n 144 width"],
        batch: Batch,
        erased: Bool[Tensor, "n 144"] | None = None,
        attentions: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return logits, and the attention weights of every layer if they are asked for."""
        embed = self.decoder.model.embed_tokens
        with torch.autocast("cpu", dtype=torch.bfloat16):
            visual = self.projector(features).float()
            if erased is not None:
                mean = visual.detach().mean((0, 1))
                visual = torch.where(erased[..., None], mean, visual)
            words = embed(batch.tokens)
            inputs = torch.cat([words[:, :3], visual, words[:, 3 + PATCHES :]], 1)
            output = self.decoder(
                inputs_embeds=inputs,
                position_ids=batch.positions,
                attention_mask=batch.mask.bfloat16(),
                use_cache=False,
                output_attentions=attentions,
            )
        return output.logits, output.attentions or ()


def look(
    tower: CLIPVisionModel, pixels: Float[Tensor, "n 3 192 192"]
) -> Float[Tensor, "n 144 width"]:
    """Return the tower's features of whole images, the class token dropped."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return tower(pixel_values=pixels).last_hidden_state[:, 1:].float()


@torch.no_grad()
def compute_features(
    tower: CLIPVisionModel, pool: Pool, count: int
) -> Float[Tensor, "count 144 width"]:
    """Compute the features of the first `count` images of a pool, in bfloat16."""
    return torch.cat(
        [
            look(tower, normalise(torch.from_numpy(np.array(pool.images[i : i + 50])))).bfloat16()
            for i in range(0, count, 50)
        ]
    )
