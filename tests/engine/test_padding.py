"""Padding before a prompt is what it is to the model: never read, by any kind of layer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from retinoscope.engine import Recording, evaluate, generate, record
from retinoscope.engine.edits.full import full_logits
from retinoscope.interventions import Ablate, Condition, resolve
from retinoscope.models import Checkpoint, Encoded
from retinoscope.tokens import TokenLayout, VisualSpan
from tests.engine import families
from tests.engine.oracle import oracle

MAX_NEW_TOKENS = 4
FEW, MANY = 7, 40
"""Padding positions: fewer than those of the prompt, and more."""


def padded(encoded: Encoded, count: int) -> Encoded:
    """The prompt with padding to its left."""
    length = encoded.layout.length
    inputs = dict(encoded.inputs)
    for name, value in inputs.items():
        if value.ndim >= 2 and value.shape[1] == length and not value.is_floating_point():
            before = value[:, :1].expand(-1, count, *value.shape[2:])
            crossing = name == "cross_attention_mask"
            before = before if crossing else torch.zeros_like(before)
            inputs[name] = torch.cat([before, value], dim=1)
    spans = tuple(
        VisualSpan(tuple(position + count for position in span.positions), span.grid)
        for span in encoded.layout.spans
    )
    return replace(encoded, inputs=inputs, layout=TokenLayout(length + count, spans))


def looked_at(name: str, count: int) -> tuple[Checkpoint, Encoded, Recording]:
    checkpoint, encoded = families.build(name)
    encoded = padded(encoded, count)
    recording = record(checkpoint, encoded, max_new_tokens=MAX_NEW_TOKENS)
    assert recording.fallback is None
    return checkpoint, encoded, recording


def ablations(recording: Recording) -> list[Condition]:
    """Of padding, which no one reads, and of what stands behind it, one token or two."""
    last = recording.length - 1
    where = ([last - 8], [last - 3, last - 2], [last], [3, last - 1], [3])
    return [(Ablate(positions, "zero"),) for positions in where]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *((name, count) for name in ("lfm2_vl", "qwen3_5") for count in (FEW, MANY)),
        *((name, FEW) for name in ("llava", "gemma3", "mllama", "qwen2_vl", "gemma4")),
    ],
)
def test_conditions_equal_the_plain_way(name: str, count: int) -> None:
    checkpoint, encoded, recording = looked_at(name, count)
    given = ablations(recording)
    found = evaluate(recording, given).logits
    expected = torch.stack(
        [oracle(checkpoint, encoded, resolve(one, recording))[-1] for one in given]
    )
    scale = max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) / scale <= 1e-5
    moved = (expected - recording.logits).abs().amax(-1)
    assert float(moved[:-1].min()) > 1e-3
    assert float(moved[-1]) < 1e-5 * scale


@pytest.mark.parametrize("name", ["lfm2_vl", "qwen3_5"])
def test_what_is_generated_is_the_full_forwards_choice(name: str) -> None:
    _, _, recording = looked_at(name, FEW)
    assert recording.generation_fallback is None
    given = ablations(recording)
    for one, answer in zip(given, generate(recording, given), strict=True):
        sites = resolve(one, recording)
        for step, sure in enumerate(answer.probabilities):
            logits = full_logits(recording, sites, tokens=answer.tokens[:step])[0]
            assert float(logits.softmax(-1)[answer.tokens[step]]) == pytest.approx(sure, abs=1e-5)


def test_given_positions_count_on_behind_the_prompt() -> None:
    """Position ids that begin at the first word, as a collator makes them, give the same text."""
    checkpoint, encoded, recording = looked_at("llava", FEW)
    positions = (encoded.inputs["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    inputs = {**encoded.inputs, "position_ids": positions}
    placed = record(checkpoint, replace(encoded, inputs=inputs), max_new_tokens=MAX_NEW_TOKENS)
    texts = [generate(one, ablations(one)) for one in (recording, placed)]
    for one, other in zip(*texts, strict=True):
        assert one.tokens == other.tokens
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert len({one.probabilities for one in texts[0]}) > 1
