"""Variants of the embedded model: what was written, behind the tower it was trained behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import LlavaForConditionalGeneration

from retinoscope.engine import evaluate, look
from retinoscope.errors import ModelError
from retinoscope.interventions import Ablate
from retinoscope.models import load
from retinoscope.models.tower import TOWER
from retinoscope.models.variant import OWN, own_part, read_variant
from retinoscope.shipped import embedded_folder, shipped_models


@pytest.fixture(scope="module")
def tower() -> LlavaForConditionalGeneration:
    return LlavaForConditionalGeneration.from_pretrained(embedded_folder(), dtype=torch.float32)


def test_every_variant_is_read_and_looked_into(variants: Path) -> None:
    names = [name for name in shipped_models() if name.startswith("embedded/V")]
    assert {"embedded/V0", "embedded/V1", "embedded/V2", "embedded/V3", "embedded/V10"} <= {*names}
    image, said = Image.new("RGB", (192, 192), "green"), set()
    for name in names:
        checkpoint = load(name, device="cpu")
        recording = look(checkpoint, image, "Is there a dog in this image?", max_new_tokens=0)
        assert recording.fallback is None
        changed = evaluate(recording, [(Ablate([10], "zero"),)]).logits[0]
        assert not torch.allclose(changed, recording.logits)
        said.add(tuple(recording.logits.tolist()))
    assert len(said) == len(names)


def test_a_variant_is_its_own_part_and_the_embedded_tower(variants: Path, tower) -> None:
    model = read_variant(variants / "V0", tower)
    own = load_file(variants / "V0" / OWN)
    assert own.keys() == own_part(model).keys()
    state = model.state_dict()
    assert all(torch.equal(state[name], weight.float()) for name, weight in own.items())
    seen = {n: w for n, w in state.items() if n not in own}
    assert seen and all(torch.equal(w, tower.state_dict()[name]) for name, w in seen.items())


def test_a_linear_connector_has_no_gelu(variants: Path, tower) -> None:
    x = torch.randn(3, 192, generator=torch.Generator().manual_seed(0))
    bent, straight = (read_variant(variants / name, tower).model for name in ("V0", "V6"))
    for model, linear in ((bent, False), (straight, True)):
        middle = model.multi_modal_projector
        zero = middle(torch.zeros_like(x))
        doubled = torch.allclose(middle(2 * x) - zero, 2 * (middle(x) - zero), atol=1e-4)
        assert doubled == linear


@pytest.mark.parametrize("damage", ["tower", "weights", "config", "part"])
def test_a_folder_that_is_not_whole_is_refused(
    variants: Path, tower, tmp_path: Path, damage: str
) -> None:
    copy = Path(shutil.copytree(variants / "V1", tmp_path / "V1"))
    match damage:
        case "tower":
            told = json.loads((copy / TOWER).read_text("utf-8")) | {"sha256": "0" * 64}
            (copy / TOWER).write_text(json.dumps(told), "utf-8")
        case "weights":
            (copy / OWN).write_bytes((copy / OWN).read_bytes()[:1000])
        case "config":
            (copy / "config.json").write_text("[]", "utf-8")
        case _:
            (copy / OWN).unlink()
    wanted = "another vision tower" if damage == "tower" else "no variant of the embedded model"
    with pytest.raises(ModelError, match=wanted):
        read_variant(copy, tower)
