"""What can't be looked into is refused with the reason, not with whatever broke."""

from __future__ import annotations

import json
from inspect import unwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers as hf

from retinoscope.api import VLM
from retinoscope.engine import look
from retinoscope.errors import ModelError
from retinoscope.geometry import UnplacedGrid
from retinoscope.models import load
from retinoscope.models.checkpoint import Checkpoint, find_parts
from retinoscope.models.encode import encode
from retinoscope.models.family import family_of
from retinoscope.models.processors import image_only
from tests import tiny
from tests.models import tiny_families, tiny_glm, tiny_qwen, tiny_videos
from tests.models.pictures import SIZES, picture
from tests.models.tiny_parts import tokenizer, tower

pytestmark = pytest.mark.filterwarnings(
    # GLM's processors make an array of a tensor.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

# The annotations are what a type checker sees; what a user gives is only known at run time.
look_unchecked: Any = unwrap(look)
vlm_look_unchecked: Any = unwrap(VLM.look)


@pytest.fixture(scope="module")
def llava() -> Checkpoint:
    return tiny_families.PLACED["llava"]()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (None, "NoneType"),
        (np.zeros((4, 4, 3), dtype=np.uint8), "ndarray"),
        ([None], "NoneType"),
    ],
)
def test_looking_without_an_image_says_what_is_needed(
    llava: Checkpoint, given: object, name: str
) -> None:
    with pytest.raises(ModelError, match=f"PIL image; got {name}"):
        look_unchecked(llava, given, "Describe this image.")
    with pytest.raises(ModelError, match=f"PIL image; got {name}"):
        vlm_look_unchecked(VLM(llava), given)


def test_heads_that_differ_by_layer_are_refused() -> None:
    language = {
        "vocab_size": 60,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_sliding_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "sliding_window": 9,
        "layer_types": ["sliding_attention", "full_attention"],
        "mlp_layer_types": ["dense", "dense"],
    }
    vision = {**tower(), "mlp_ratio": 2.0}
    config = hf.Step3p7Config(vision_config=vision, text_config=language, image_token_id=50)
    with pytest.raises(ModelError, match="one num_attention_heads for all layers"):
        find_parts(hf.Step3p7ForConditionalGeneration(config))


def test_several_residual_streams_are_refused_as_such() -> None:
    with pytest.raises(ModelError, match="keeps 2 residual streams at every position"):
        look(tiny_glm.glm5_next(), picture(SIZES["wide"]), "Is there a dog ?")


def test_a_model_with_a_mask_of_its_own_falls_back_with_the_reason() -> None:
    """Its stream is wider than its embedding too; the mask is what is said first."""
    recording = look(
        tiny_qwen.qwen4_exp(), picture(SIZES["wide"]), "Is there a dog ?", max_new_tokens=3
    )
    assert "makes a mask of its own" in str(recording.fallback)


@pytest.mark.parametrize("kind", ["gemma4", "video_llava"])
def test_an_unknown_model_that_resizes_in_its_own_way_is_left_unplaced(kind: str) -> None:
    made = getattr(tiny_videos, kind)()
    spoken = Checkpoint(
        name=kind,
        revision="",
        files={},
        model=made.model,
        processor=made.processor,
        family=family_of("never-heard-of"),
        parts=made.parts,
    )
    (span,) = encode(spoken, picture(SIZES["square"]), "Is there a dog ?").layout.spans
    assert isinstance(span.grid, UnplacedGrid)
    assert "no family describes" in span.grid.reason


SLOTS = {
    "LlavaNextVideoProcessor": "videos first",
    "VideoLlavaProcessor": "videos in the middle",
    "Qwen2VLProcessor": "videos last",
}


@pytest.mark.parametrize("name", SLOTS)
def test_a_slot_for_videos_is_left_empty_wherever_it_stands(name: str, tmp_path: Path) -> None:
    kind = getattr(hf, name)
    assert "video_processor" in kind.get_attributes()
    words = tokenizer(image_token="<image>", video_token="<video>")
    view = tiny.processor().image_processor
    processor = image_only(kind)(image_processor=view, tokenizer=words)
    assert processor.image_processor is view and processor.tokenizer is words
    assert "video_processor" not in processor.to_dict()
    processor.save_pretrained(tmp_path)
    loaded = image_only(kind).from_pretrained(tmp_path)
    assert type(loaded.image_processor) is type(view)
    assert loaded.tokenizer.get_vocab() == words.get_vocab()


def test_a_tokenizer_that_lacks_something_is_refused(tmp_path: Path) -> None:
    """Tokenizers raises a bare Exception."""
    path = tiny.save(tmp_path) / "tokenizer.json"
    values = json.loads(path.read_text())
    del values["added_tokens"][0]["normalized"]
    path.write_text(json.dumps(values))
    with pytest.raises(ModelError, match="normalized"):
        load(tmp_path)
