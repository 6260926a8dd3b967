"""Let stacked models describe images, greedily, and see what they name."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recipes.embedded.layout import embed_rows
from recipes.embedded.loading import DevicePool
from recipes.embedded.words import Words
from recipes.stack.run import Runs, run_decoder
from recipes.variants.families import Family
from recipes.variants.features import Seen
from recipes.variants.measure import ClassWords, describe_scenes
from recipes.variants.records import Measured, shares
from retinoscope.data.scenes.language import DESCRIBE

NEW_TOKENS = 32
CHUNK = 50


@torch.no_grad()
def describe(
    family: Family,
    pool: DevicePool,
    features: Seen,
    words: Words,
    names: ClassWords,
    images: Tensor,
    runs: Runs,
) -> list[Measured]:
    """Return recall and precision of the classes that descriptions name."""
    hits, named, there = [], [], []
    for start in range(0, len(images), CHUNK):
        some = images[start : start + CHUNK]
        said = _generate(family, features, words, some, runs)
        spoken = F.one_hot(names.meaning[said].clamp(min=0), len(names.singular))
        spoken = (spoken * (names.meaning[said] >= 0)[..., None]).amax(2) > 0
        present = describe_scenes(pool, some, family.kind).present
        hits.append((spoken & present).sum(-1).float().cpu())
        named.append(spoken.sum(-1).float().cpu())
        there.append(present.sum(-1).float().expand(len(said), -1).cpu())
    right = torch.cat(hits, 1)
    return [
        Measured("recall", "clean", -1, "describe", shares(right, torch.cat(there, 1))),
        Measured("precision", "clean", -1, "describe", shares(right, torch.cat(named, 1))),
    ]


def _generate(family: Family, features: Seen, words: Words, images: Tensor, runs: Runs) -> Tensor:
    """Return the tokens that follow: (models, images, new tokens); <eos> ends what counts."""
    models, device = len(family.members), images.device
    head = words.context([words.image] * family.tokens)
    prompt = [*head, *words(DESCRIBE), *words("ASSISTANT:")]
    length = -(-(len(prompt) + NEW_TOKENS) // 8) * 8
    tokens = torch.full((models, len(images), length), words.pad, device=device)
    tokens[:, :, : len(prompt)] = torch.tensor(prompt, device=device)
    states = features.at(family, images.expand(models, -1)).to(runs.dtype)
    visual = family.connector(states)
    positions = torch.arange(length, device=device).expand_as(tokens)
    blocks = torch.zeros_like(tokens)
    ended = torch.zeros(models, len(images), dtype=torch.bool, device=device)
    for at in range(len(prompt), len(prompt) + NEW_TOKENS):
        inputs = embed_rows(family.decoder, tokens, visual)
        last = run_decoder(family.decoder, inputs, positions, blocks, runs).last[:, :, at - 1]
        best = family.decoder.unembed(last).argmax(-1)
        ended |= best == words.eos
        tokens[:, :, at] = torch.where(ended, words.eos, best)
        if bool(ended.all()):
            break
    return tokens[:, :, len(prompt) :]
