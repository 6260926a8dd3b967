"""Laws of attention rollout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tiny
import torch
from PIL import Image

from retinoscope.attribution import attention_rollout
from retinoscope.engine import Recording, evaluate, look, record
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.states import full_states
from retinoscope.geometry import PatchGrid, Tile
from retinoscope.interventions import Ablate, Knockout, Site
from retinoscope.models import Checkpoint
from retinoscope.models.checkpoint import find_parts
from retinoscope.models.family import family_of
from retinoscope.tokens import TokenLayout, VisualSpan
from tests.engine import families


def recorded(attention: str) -> Recording:
    torch.manual_seed(0)
    model = tiny.model(attention=attention)
    checkpoint = Checkpoint(
        "tiny", "", {}, model, tiny.processor(), family_of("llava"), find_parts(model)
    )
    pixels = np.random.default_rng(2).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    return look(checkpoint, Image.fromarray(pixels), "What is in this image ?")


def test_rollout_is_the_product_of_mixed_attention() -> None:
    recording = recorded("eager")
    model, encoded = recording.checkpoint.model, recording.encoded
    with torch.no_grad():
        attentions = model(**encoded.inputs, output_attentions=True).attentions
    product = torch.eye(recording.length)
    for weights in attentions:
        mixed = 0.5 * weights[0].mean(0) + 0.5 * torch.eye(recording.length)
        product = (mixed / mixed.sum(-1, keepdim=True)) @ product
    expected = product[-1, list(encoded.layout.visual)]
    assert torch.allclose(attention_rollout(recording), expected, atol=1e-6)


def test_under_a_condition_it_is_the_product_of_the_attention_that_the_condition_leaves() -> None:
    """The model itself, its hooks ablating, is the oracle; a knocked out edge carries nothing."""
    recording = recorded("eager")
    tokens, layers = list(recording.layout.visual)[3:6], range(recording.layer_count)
    condition = (Ablate(tokens, "zero"), Knockout([recording.length - 1], [tokens[0]], layers))
    edits = Checked(recording).edits(condition)
    sites = [Site("attn_probs", layer) for layer in reversed(layers)]
    with torch.no_grad():
        seen = full_states(recording, sites, edits, range(recording.length))
    row = torch.eye(recording.length)[-1]
    for site in sites:
        weights = seen[site].mean(1)
        assert weights[-1, tokens[0]] == 0
        row = 0.5 * row + 0.5 * row @ weights
    found = attention_rollout(recording, condition)
    assert torch.allclose(found, row[list(recording.layout.visual)], atol=1e-6)
    assert not torch.allclose(found, attention_rollout(recording), atol=1e-4)


def test_rollout_where_layers_share_keys_is_of_the_clean_run() -> None:
    """Also after conditions were replayed, whose keys the model leaves lying about."""
    checkpoint, encoded = families.build("gemma4")
    span = VisualSpan((3, 4, 5, 6), PatchGrid((4, 1), (Tile(1, 4, (0, 0, 4, 1)),)))
    layout = TokenLayout(encoded.layout.length, (span,))
    recording = record(checkpoint, replace(encoded, layout=layout))
    before = attention_rollout(recording)
    evaluate(recording, [(Ablate([at], "zero"),) for at in (20, 22)])
    assert torch.equal(attention_rollout(recording), before)
    checkpoint.model.set_attn_implementation("eager")
    with torch.no_grad():
        attentions = checkpoint.model(**encoded.inputs, output_attentions=True).attentions
    row = torch.eye(recording.length)[-1]
    for weights in reversed(attentions):
        row = 0.5 * row + 0.5 * row @ weights[0].mean(0)
    assert torch.allclose(before, row[3:7], atol=1e-6)


def test_rollout_does_not_depend_on_the_back_end() -> None:
    assert torch.allclose(
        attention_rollout(recorded("sdpa")), attention_rollout(recorded("eager")), atol=1e-6
    )


def test_rollout_is_a_share() -> None:
    shares = attention_rollout(recorded("sdpa"))
    assert (shares > 0).all()
    assert shares.sum() < 1
