"""Every family is saved and loaded again without torchvision, or says what it lacks."""

from __future__ import annotations

from copy import copy
from pathlib import Path

import pytest
import torch

from retinoscope.errors import ModelError
from retinoscope.models.encode import encode
from retinoscope.models.family import LOADING
from retinoscope.models.load import load
from tests.models import tiny_families
from tests.models.pictures import SIZES, picture

pytestmark = pytest.mark.filterwarnings(
    # PaliGemma's processor makes an array of a tensor.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

LOADED = [
    # Pan and scan is an option of the call, which is not saved; the others need torchvision.
    kind
    for kind in (*tiny_families.PLACED, *tiny_families.UNPLACED)
    if kind not in ("gemma3_pan_and_scan", "lfm2_vl", "perception_lm", "cohere2_vision")
]


@pytest.mark.parametrize("kind", LOADED)
def test_a_saved_model_is_loaded_without_torchvision(kind: str, tmp_path: Path) -> None:
    made = {**tiny_families.PLACED, **tiny_families.UNPLACED}[kind]()
    assert LOADING in made.family.verified
    made.model.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert loaded.family == made.family
    assert type(loaded.processor).__name__ == type(made.processor).__name__
    bases = {base.__name__ for base in type(loaded.processor.image_processor).__mro__}
    assert "TorchvisionBackend" not in bases
    expected, found = (
        encode(checkpoint, picture(SIZES["wide"]), "Is there a dog ?")
        for checkpoint in (made, loaded)
    )
    grids = [[span.grid for span in encoded.layout.spans] for encoded in (expected, found)]
    assert grids[0] == grids[1]
    # Qwen3.5's tokenizer class splits words in its own way, whatever was saved.
    if kind not in ("qwen3_5", "qwen3_5_moe"):
        assert all(torch.equal(expected.inputs[k], found.inputs[k]) for k in expected.inputs)


@pytest.mark.parametrize("kind", ["lfm2_vl", "perception_lm", "cohere2_vision"])
def test_a_processor_that_needs_torchvision_says_so(kind: str, tmp_path: Path) -> None:
    made = tiny_families.PLACED[kind]()
    made.model.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    config = tmp_path / "processor_config.json"
    stand_in = type(made.processor.image_processor).__name__
    real = stand_in.replace("Images", "ImageProcessor")
    assert stand_in in config.read_text()
    config.write_text(config.read_text().replace(f'"{stand_in}"', f'"{real}"'))
    with pytest.raises(ModelError, match="torchvision"):
        load(tmp_path)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    tiny_families.PLACED["llava"]().model.save_pretrained(tmp_path)
    processor = copy(tiny_families.PLACED["llava"]().processor)
    processor.tokenizer = tiny_families.PLACED["idefics3"]().processor.tokenizer
    processor.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="another model"):
        load(tmp_path)
