"""Which answers are right, about images and about documents in words."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from recipes.embedded.asking import KINDS
from recipes.embedded.loading import Batch, DeviceRows
from recipes.embedded.rows import PADDING
from recipes.stack.decoder import Decoder
from recipes.stack.run import Runs, run_decoder
from recipes.variants.records import Measured, shares

CHUNK = 20


def chunks(count: int) -> Iterator[slice]:
    """Parts of so many rows, CHUNK at a time."""
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))


@torch.no_grad()
def measure_texts(decoder: Decoder, text: DeviceRows) -> list[Measured]:
    """Return the share of questions about documents in words that each model answers."""
    models, device = len(decoder.embed), decoder.embed.device
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for part in chunks(len(text)):
        number = torch.arange(part.start, part.stop, device=device)
        batch = text.take(number.expand(models, -1))
        inputs = decoder.words(batch.tokens, torch.float32)
        passed = run_decoder(decoder, inputs, batch.positions, batch.blocks, Runs())
        count, length, width = inputs.shape[1:]
        logits = decoder.unembed(passed.last.reshape(models, count * length, width))
        for kind, hits, there in right_answers(logits.view(models, count, length, -1), batch):
            parts.setdefault(kind, []).append((hits.float().cpu(), there.float().cpu()))
    found = []
    for kind, each in parts.items():
        hits, there = (torch.cat(column, 1) for column in zip(*each, strict=True))
        found.append(Measured("accuracy", "clean", -1, kind, shares(hits, there)))
    return found


def right_answers(logits: Tensor, batch: Batch) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield kinds of question with hits and counts of each row: (models, n) each.

    An answer is right if each of its tokens is the most likely one after those before it, which
    is when greedy decoding gives the whole of it. Descriptions are left out: their wording is free.
    """
    best = logits[:, :, :-1].argmax(-1)
    wrong = (best != batch.tokens[:, :, 1:]) & (batch.answers[:, :, 1:] > 0)
    block = batch.blocks[:, :, 1:]
    index = torch.where(block < PADDING, block, 0)
    missed = torch.zeros(*batch.kinds.shape[:2], batch.kinds.shape[-1] + 1, device=block.device)
    missed.scatter_add_(2, index, wrong.float())
    right = missed[:, :, 1:] == 0
    for number, kind in enumerate(KINDS):
        asked = batch.kinds == number
        if kind != "describe" and bool(asked.any()):
            yield kind, (right & asked).sum(-1), asked.sum(-1)
    asked = (batch.kinds < PADDING) & (batch.kinds > 0)
    yield "all", (right & asked).sum(-1), asked.sum(-1)
