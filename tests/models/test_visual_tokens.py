"""Images in batches give what each gives alone, in their order, whatever goes wrong on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from retinoscope.errors import SampleError
from retinoscope.models import visual_tokens as module
from retinoscope.models.checkpoint import Checkpoint, find_parts
from retinoscope.models.visual_tokens import visual_tokens, visual_tokens_of
from tests.models import tiny_families
from tests.models.pictures import SIZES, picture

pytestmark = pytest.mark.filterwarnings(
    # PaliGemma's processor makes an array of a tensor.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

CLOSE = 2e-5
"""Float32 sums in another order, as a share of the largest number."""


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Up to three images at once, as a GPU would take; how many every pass takes."""
    monkeypatch.setattr(module, "images_at_once", lambda *_: 3)
    taken: list[int] = []
    plain = module.first_states

    def counted(checkpoint: Checkpoint, inputs: Any) -> Any:
        taken.append(len(inputs["input_ids"]))
        return plain(checkpoint, inputs)

    monkeypatch.setattr(module, "first_states", counted)
    return taken


def same(image: Image.Image) -> Image.Image:
    return image


def pictures(shapes: list[str]) -> list[Image.Image]:
    return [picture(SIZES[shape], seed=seed) for seed, shape in enumerate(shapes)]


def close(found: object, wanted: Tensor) -> bool:
    assert isinstance(found, Tensor) and found.shape == wanted.shape
    return float((found - wanted).abs().max()) <= CLOSE * float(wanted.abs().max())


ALONE = ("minicpmv4_6",)
"""Families whose processors don't lay a batch out along the first axis."""

FAMILIES = tiny_families.PLACED | tiny_families.UNPLACED
del FAMILIES["mllama"]  # Has no visual tokens: text reads images by cross-attention.


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_batch_gives_what_each_image_gives_alone(kind: str, batches: list[int]) -> None:
    found = FAMILIES[kind]()
    images = pictures(["wide", "wide", "wide", "wide", "tall", "tall", "wide", "prime"])
    alone = [visual_tokens(found, image) for image in images]
    # The images differ, so that one in another's place would be seen.
    assert not close(alone[0], alone[1])
    batches.clear()
    together = list(visual_tokens_of(found, images, same))
    assert all(close(one, wanted) for one, wanted in zip(together, alone, strict=True))
    assert found.found["vision in batches"] == (kind not in ALONE)
    # The model's first batch is compared with an image alone; then all go in batches.
    assert batches[:2] == [1, 2]
    assert sum(batches[2:]) == len(images)
    assert max(batches[2:]) == (1 if kind in ALONE else 3)


def test_on_a_processor_every_image_goes_alone() -> None:
    found = tiny_families.PLACED["llava"]()
    images = pictures(["wide"] * 4)
    for one, image in zip(visual_tokens_of(found, images, same), images, strict=True):
        assert torch.equal(one, visual_tokens(found, image))  # type: ignore[arg-type]


def test_a_model_that_mixes_a_batch_up_is_given_one_image_at_a_time(batches: list[int]) -> None:
    found = tiny_families.PLACED["llava"]()
    images = pictures(["wide"] * 5)
    alone = [visual_tokens(found, image) for image in images]

    def mixed(_: nn.Module, __: Any, output: Any) -> Any:
        return output.flip(0)

    hook = found.model.model.multi_modal_projector.register_forward_hook(mixed)  # type: ignore[union-attr]
    batches.clear()
    together = list(visual_tokens_of(found, images, same))
    hook.remove()
    assert all(torch.equal(one, wanted) for one, wanted in zip(together, alone, strict=True))
    assert not found.found["vision in batches"]
    assert batches == [1, 2, 1, 1, 1, 1, 1]


def test_a_batch_that_memory_has_no_room_for_is_halved(
    batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tiny_families.PLACED["llava"]()
    images = pictures(["wide"] * 3)
    alone = [visual_tokens(found, image) for image in images]
    plain = module.first_states

    def narrow(checkpoint: Checkpoint, inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 1:
            raise torch.OutOfMemoryError("no room")
        return plain(checkpoint, inputs)

    monkeypatch.setattr(module, "first_states", narrow)
    together = list(visual_tokens_of(found, images, same))
    assert all(torch.equal(one, wanted) for one, wanted in zip(together, alone, strict=True))


def test_what_cannot_be_read_comes_in_its_place(batches: list[int]) -> None:
    found = tiny_families.PLACED["llava"]()
    images = pictures(["wide"] * 6)

    def read(number: int) -> Image.Image:
        if number in (0, 3):
            raise SampleError(f"{number} is no image")
        return images[number]

    together = list(visual_tokens_of(found, range(6), read))
    assert [str(one)[:1] for one in together if not isinstance(one, Tensor)] == ["0", "3"]
    for number in (1, 2, 4, 5):
        assert close(together[number], visual_tokens(found, images[number]))


def test_a_batch_fits_into_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    found = tiny_families.PLACED["llava"]()
    encoded = module.prepare(found, picture(SIZES["wide"]), "Describe")
    assert module.images_at_once(found, encoded) == 1
    pixels = encoded.inputs["pixel_values"]
    one = module.TOWER * pixels.numel() * pixels.element_size()
    monkeypatch.setattr(Checkpoint, "device", torch.device("cuda"))
    for room, wanted in ((one - 1, 1), (one, 1), (2 * one, 2), (7 * one + 1, 7)):
        monkeypatch.setattr(module, "pass_memory", lambda _, room=room: room)
        assert module.images_at_once(found, encoded) == wanted


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("kind", ["llava", "llava_next", "qwen2_5_vl", "gemma3", "idefics3"])
def test_a_gpu_gives_in_batches_what_the_processor_gives(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    here = FAMILIES[kind]()
    images = pictures(["wide"] * 5 + ["tall"] * 2)
    wanted = [visual_tokens(here, image) for image in images]
    model: Any = here.model.cuda()
    there = replace(here, model=model, parts=find_parts(model), found={})
    encoded = module.prepare(there, images[0], "Describe")
    assert module.images_at_once(there, encoded) >= 5
    assert not any(tensor.is_cuda for tensor in encoded.inputs.values())
    together = list(visual_tokens_of(there, images, same))
    assert there.found["vision in batches"]
    for one, expected in zip(together, wanted, strict=True):
        assert isinstance(one, Tensor) and one.is_cuda
        assert float((one.cpu() - expected).abs().max()) <= 1e-4 * float(expected.abs().max())
