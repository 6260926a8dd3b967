"""Families whose tiny models come with their processors: all conditions equal the plain way too."""

from __future__ import annotations

import pytest
import torch

from retinoscope.engine import Recording, evaluate, generate, record
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.interventions import Condition, resolve
from retinoscope.models import Checkpoint, Encoded, encode
from tests.engine import families
from tests.engine.conditions import conditions
from tests.engine.oracle import oracle, oracle_generate
from tests.models import tiny_families
from tests.models.pictures import SIZES, picture

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

KINDS = [
    kind
    for kind in (*tiny_families.PLACED, *tiny_families.UNPLACED)
    # These are asked with inputs made by hand, and two names are the same model again.
    if kind not in (*families.BUILDERS, "llava_siglip", "gemma3_pan_and_scan")
]


def built(kind: str) -> tuple[Checkpoint, Encoded]:
    """A tiny model, and a prompt whose last positions read the image's."""
    checkpoint = {**tiny_families.PLACED, **tiny_families.UNPLACED}[kind]()
    # Of the other question Aria's random weights answer with the image token, which no model
    # takes without its image.
    question = "Describe this image ." if kind == "aria" else "Is there a dog ? " * 3
    return checkpoint, encode(checkpoint, picture(SIZES["tiny"]), question)


def attending(recording: Recording) -> int:
    """How many layers attend."""
    return sum(isinstance(one.mixing, SelfAttention) for one in recording.layers)


@pytest.mark.parametrize("kind", KINDS)
def test_conditions_equal_the_plain_way(kind: str) -> None:
    checkpoint, encoded = built(kind)
    recording = record(checkpoint, encoded)
    assert recording.fallback is None
    for name, given in conditions(recording).items():
        found = evaluate(recording, given).logits
        expected = torch.stack(
            [oracle(checkpoint, encoded, resolve(one, recording))[-1] for one in given]
        )
        # Logits well over 1 carry float32's rounding in proportion.
        scale = max(1.0, float(expected.abs().max()))
        assert float((found - expected).abs().max()) / scale <= 1e-5, name
        assert torch.equal(found.argmax(-1), expected.argmax(-1)), name
        if name == "visual rows" and attending(recording) == 1:
            continue  # Above the only layer that attends, nothing reads the visual rows again.
        moved = (expected - recording.logits).abs().amax(-1)
        assert float(moved.min()) > 1e-4, f"{name} changes nothing, so it proves nothing"


@pytest.mark.parametrize("kind", KINDS)
def test_generation_equals_the_models_own(kind: str) -> None:
    checkpoint, encoded = built(kind)
    recording = record(checkpoint, encoded, max_new_tokens=5)
    asked = conditions(recording)
    given: list[Condition] = [(), *asked["ablation"], *asked["last position"][-1:]]
    found = [list(one.tokens) for one in generate(recording, given)]
    for one, tokens in zip(given, found, strict=True):
        expected = oracle_generate(checkpoint, encoded, resolve(one, recording), 5)
        assert tokens == (expected[: expected.index(2)] if 2 in expected else expected)
