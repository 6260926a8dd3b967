"""Train the decoder on text until it answers questions about contexts made of words."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from recipes.embedded.architecture import decoder_config
from recipes.embedded.batches import IGNORE, Batch, Words, collate
from recipes.embedded.optimise import Optimiser
from recipes.embedded.text import Document, make_tokenizer, raster_document, sentence_document
from recipes.embedded.training import train_stage
from retinoscope.errors import RunError

# The first stage stops early, where its curve goes flat: polls are answered, but the decoder
# hardly begins to find which place and colour belong to which thing. The second stage, whose
# documents say everything twice, teaches that.
PLAIN_STEPS, PLAIN_SCHEDULE = 1100, 1600
BINDING_STEPS = 800
ROWS = 24
EXCHANGES = 6
# The share of batches whose contexts are rasters. With none, no layer refines a visual token
# towards its word; with far more, the early layers already do.
RASTER_SHARE = 0.22
GRIDS = (4, 6, 8, 12)
# What the decoder must answer before it sees images: what is there. Where things are it goes on
# learning from images, whose tokens carry their place.
GATE = {"poll": 0.95, "kind": 0.85}
SEED = 10


def draw_documents(
    rows: int, raster: bool, rng: np.random.Generator, restate: bool = False
) -> list[Document]:
    """Draw documents of one kind and, for rasters, of one grid."""
    if not raster:
        return [sentence_document(EXCHANGES, rng, restate) for _ in range(rows)]
    grid = GRIDS[rng.integers(len(GRIDS))]
    return [raster_document(EXCHANGES, grid, rng) for _ in range(rows)]


def lay_out(documents: list[Document], words: Words) -> Batch:
    """Make a batch of documents."""
    contexts = [words.context(words(d.context)) for d in documents]
    return collate(contexts, [d.exchanges for d in documents], words)


def logits_of(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Run the decoder over a batch of words."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(
            input_ids=batch.tokens,
            position_ids=batch.positions,
            attention_mask=batch.mask.bfloat16(),
            use_cache=False,
        ).logits


@torch.no_grad()
def answer_accuracy(
    model: LlamaForCausalLM, words: Words, raster: bool, rows: int = 240
) -> dict[str, float]:
    """Share of exchanges whose every answer token is the most likely one, by kind.

    Descriptions are left out: their wording is free.
    """
    rng = np.random.default_rng((SEED, 10**9, raster))
    right: dict[str, list[bool]] = defaultdict(list)
    model.eval()
    for _ in range(0, rows, ROWS):
        documents = draw_documents(ROWS, raster, rng)
        batch = lay_out(documents, words)
        best = logits_of(model, batch).argmax(-1)[:, :-1]
        wrong = (best != batch.targets[:, 1:]) & (batch.targets[:, 1:] != IGNORE)
        for row, document in enumerate(documents):
            for number, exchange in enumerate(document.exchanges, 1):
                missed = wrong[row] & (batch.blocks[row, 1:] == number)
                right[exchange.kind].append(not bool(missed.any()))
    model.train()
    return {kind: float(np.mean(hits)) for kind, hits in right.items() if kind != "describe"}


def train_language_model(folder: Path) -> LlamaForCausalLM:
    """Train the decoder and check that it passes the gate.

    Raises:
        RunError: some kind of question is answered right less often than `GATE`.
    """
    torch.manual_seed(SEED)
    words = Words(make_tokenizer())
    model = LlamaForCausalLM(decoder_config(words.tokenizer))
    model.set_attn_implementation("eager")

    def train(name: str, schedule: int, until: int, restate: bool) -> None:
        def loss_of(step: int) -> Tensor:
            rng = np.random.default_rng((SEED + restate, step))
            raster = rng.random() < RASTER_SHARE
            batch = lay_out(draw_documents(ROWS, raster, rng, restate), words)
            logits = logits_of(model, batch)
            return batch.answer_loss(logits) + 0.5 * batch.context_loss(logits)

        def measure() -> dict[str, float]:
            return answer_accuracy(model, words, raster=False, rows=96)

        optimiser = Optimiser([(model, 2.5e-3)], schedule)
        train_stage(name, model, optimiser, loss_of, folder, measure, until)

    train("language_model", PLAIN_SCHEDULE, PLAIN_STEPS, restate=False)
    train("binding", BINDING_STEPS, BINDING_STEPS, restate=True)
    accuracy = answer_accuracy(model, words, raster=False)
    print("text", accuracy, "raster", answer_accuracy(model, words, raster=True), flush=True)
    poor = {kind: accuracy[kind] for kind, share in GATE.items() if accuracy[kind] < share}
    if poor:
        raise RunError(f"the decoder answers text too poorly to see images: {poor}; need {GATE}")
    model.save_pretrained(folder / "language_model")
    return model
