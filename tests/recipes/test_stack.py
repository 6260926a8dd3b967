"""A stack of models is the same models one by one, in training and when they are taken out."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from recipes.embedded.augment import normalise
from recipes.embedded.export import assemble, make_processor
from recipes.embedded.layout import embed_rows
from recipes.embedded.text import vocabulary
from recipes.embedded.words import Words
from recipes.stack.connector import Connector
from recipes.stack.decoder import Decoder
from recipes.stack.optimise import Group, Optimiser
from recipes.stack.packing import keep_bits
from recipes.stack.run import Runs, run_decoder
from recipes.stack.shape import PATCHES, Shape
from recipes.stack.tower import Tower, look
from recipes.stack.unstack import (
    connector_weights,
    decoder_weights,
    put_weights,
    tower_weights,
)


def make_parts(seeds: list[int]) -> nn.ModuleList:
    shape = Shape(24, 2, 2, 96, 2, 64, 30)
    return nn.ModuleList([Tower(shape, seeds), Decoder(shape, seeds)])


def take_steps(parts: nn.ModuleList, models: list[int], broken: int | None = None) -> None:
    """Step down gradients that are drawn alike for each model, whatever stands beside it."""
    optimiser = Optimiser([Group(part, 0.01) for part in parts])
    for step in range(3):
        for number, parameter in enumerate(parts.parameters()):
            drawn = [
                torch.randn(
                    parameter.shape[1:],
                    generator=torch.Generator().manual_seed(1000 * number + 10 * step + m),
                )
                for m in models
            ]
            parameter.grad = torch.stack(drawn)
            if broken in models:
                parameter.grad[models.index(broken)] = float("nan")
        optimiser.step(0.2 + 0.3 * step)


def test_no_model_of_a_stack_takes_its_step_from_another() -> None:
    together = make_parts([1, 2])
    alone = make_parts([2])
    take_steps(together, [0, 1])
    take_steps(alone, [1])
    for two, one in zip(together.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(two[1:], one, rtol=0, atol=1e-6)


def test_a_model_without_a_finite_gradient_stays_as_it_is() -> None:
    parts = make_parts([1, 2])
    before = copy.deepcopy(parts)
    take_steps(parts, [0, 1], broken=0)
    changed = [0.0, 0.0]
    for new, old in zip(parts.parameters(), before.parameters(), strict=True):
        for model in range(2):
            if new[model].numel():
                changed[model] += (new[model] - old[model]).detach().abs().sum().item()
    assert changed[0] == 0
    assert 0 < changed[1] < float("inf")


def test_a_model_taken_out_of_a_stack_gives_the_same_logits() -> None:
    words = Words(vocabulary())
    shape = Shape(24, 2, 2, 96, 2, 64, len(words.vocabulary))
    seeds = [3, 4]
    tower, decoder = Tower(shape, seeds), Decoder(shape, seeds)
    connector = Connector(shape, seeds, "patches", [False, False])
    parts = {
        "tower": tower_weights(tower, 1),
        "connector": connector_weights(connector, 1),
        "decoder": decoder_weights(decoder, 1),
    }
    named = {f"{part}/{key}": w for part, held in parts.items() for key, w in held.items()}
    model = assemble(named, shape, words)
    image = np.random.default_rng(0).integers(0, 255, (192, 192, 3), np.uint8)
    prompt = "USER: <image>\nWhat is in this image? ASSISTANT:"
    processor = make_processor(words)
    inputs = processor(images=Image.fromarray(image), text=prompt, return_tensors="pt")
    tokens = [*words.context([words.image] * PATCHES), *words("What is in this image?")]
    row = torch.tensor([[*tokens, *words("ASSISTANT:")]])
    assert row.tolist() == inputs["input_ids"].tolist()
    with torch.no_grad():
        expected = model(**inputs).logits[0]
        pixels = normalise(torch.from_numpy(image)[None], torch.float32)
        visual = connector(look(tower, pixels.expand(2, *pixels.shape)))
        both = row.expand(2, 1, -1)
        positions = torch.arange(row.shape[1]).expand_as(both)
        rows = embed_rows(decoder, both, visual)
        last = run_decoder(decoder, rows, positions, torch.zeros_like(both), Runs()).last
        found = decoder.unembed(last.flatten(1, 2))[1]
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_weights_that_are_put_into_a_stack_are_those_that_are_taken_out() -> None:
    shape = Shape(24, 2, 2, 96, 2, 64, 9)
    stacks = (
        (Tower(shape, [3, 4]), tower_weights),
        (Connector(shape, [3, 4], "queries", [False, False]), connector_weights),
        (Decoder(shape, [3, 4]), decoder_weights),
    )
    for stack, taken in stacks:
        drawn = taken(stack, 0)
        untouched, wanted = taken(stack, 1), {k: torch.randn_like(w) for k, w in drawn.items()}
        put_weights(stack, 0, wanted)
        found = taken(stack, 0)
        kept = {name for name in found if not name.startswith("post_layernorm")}
        assert all(torch.equal(found[name], wanted[name]) for name in kept)
        assert all(torch.equal(w, untouched[name]) for name, w in taken(stack, 1).items())
        with pytest.raises(KeyError):
            put_weights(stack, 0, {})


@pytest.mark.parametrize("bits", [4, 8, 11])
def test_kept_bits_are_the_nearest_number_of_so_many(bits: int) -> None:
    weight = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    kept = keep_bits(weight, bits)
    assert float(((kept - weight) / weight).abs().max()) <= 2.0**-bits
    mantissa = torch.frexp(kept)[0] * 2**bits
    assert torch.equal(mantissa, mantissa.round())
