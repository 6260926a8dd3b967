"""A checkpoint is taken whole or not at all: nothing is filled in, passed over or let through."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from retinoscope.cli.check import check
from retinoscope.errors import ModelError
from retinoscope.models import load
from retinoscope.models.weights import BLOCK, check_finite

Weights = dict[str, Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.save(tmp_path / "tiny")


def weights(folder: Path) -> Weights:
    return load_file(folder / "model.safetensors")


def damaged(folder: Path, change: Callable[[Weights], object]) -> Path:
    kept = weights(folder)
    change(kept)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def configured(folder: Path, part: str, **values: object) -> Path:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    (config[part] if part else config).update(values)
    path.write_text(json.dumps(config))
    return folder


def test_every_missing_weight_is_named(folder: Path) -> None:
    """Whichever one is taken away (a few of them, of every part), it is named."""
    whole = weights(folder)
    assert len(whole) > 60
    for key in list(whole)[::9]:
        last = ".".join(key.split(".")[-2:])
        with pytest.raises(ModelError, match=f"it lacks [^,;]*{last}[.]"):
            load(damaged(folder, lambda kept, key=key: (kept.update(whole), kept.pop(key))))


def test_an_empty_file_of_weights_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"it lacks .* and \d+ more"):
        load(damaged(folder, lambda kept: kept.clear()))


def test_a_weight_that_the_model_has_no_place_for_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"no place for .*odd\.weight"):
        load(damaged(folder, lambda kept: kept.update({"odd.weight": torch.zeros(3)})))


def test_a_weight_of_another_shape_is_refused(folder: Path) -> None:
    key = next(key for key in weights(folder) if key.endswith("lm_head.weight"))
    with pytest.raises(ModelError, match=r"lm_head\.weight \(\[3, 4\], expected \["):
        load(damaged(folder, lambda kept: kept.update({key: torch.zeros(3, 4)})))


@pytest.mark.parametrize(("layers", "message"), [(3, "no place for"), (5, "it lacks")])
def test_a_layer_too_few_or_too_many_is_refused(folder: Path, layers: int, message: str) -> None:
    with pytest.raises(ModelError, match=rf"{message} .*layers\.{min(layers, 4)}\."):
        load(configured(folder, "text_config", num_hidden_layers=layers))


def test_a_missing_part_of_several_files_is_refused(folder: Path) -> None:
    tiny.model().save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink()
    assert load(folder).layer_count == tiny.LAYERS
    sorted(folder.glob("model-*.safetensors"))[1].unlink()
    with pytest.raises(ModelError, match="can't be loaded"):
        load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_weight_that_is_not_finite_is_named(
    folder: Path, value: float, dtype: torch.dtype
) -> None:
    def change(kept: Weights) -> None:
        for key in kept:
            kept[key] = kept[key].to(dtype)
        key = next(key for key in kept if key.endswith("layers.2.mlp.up_proj.weight"))
        kept[key][-1, -1] = value

    with pytest.raises(
        ModelError, match=r"NaN or infinity in \S*layers\.2\.mlp\.up_proj\.weight\."
    ):
        load(damaged(configured(folder, "", dtype=str(dtype)[6:]), change))


def test_a_type_that_cannot_hold_the_weights_is_refused(folder: Path) -> None:
    key = next(key for key in weights(folder) if key.endswith("lm_head.weight"))
    damaged(folder, lambda kept: kept[key].__setitem__((0, 0), 1e5))
    assert load(folder).model.dtype == torch.float32
    with pytest.raises(ModelError, match=r"infinity in \S*lm_head.*take one that can hold"):
        load(folder, dtype=torch.float16)


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    network = tiny.model()
    network.config.tie_word_embeddings = True
    network.config.get_text_config().tie_word_embeddings = True
    network.tie_weights()
    network.save_pretrained(tmp_path)
    tiny.processor().save_pretrained(tmp_path)
    kept = weights(tmp_path)
    assert not [key for key in kept if "lm_head" in key]
    assert torch.equal(
        load(tmp_path).parts.head.weight, network.get_input_embeddings().weight.detach()
    )
    key = next(key for key in kept if key.endswith("embed_tokens.weight"))
    with pytest.raises(ModelError, match="it lacks"):
        load(damaged(tmp_path, lambda kept: kept.pop(key)))


@pytest.mark.parametrize("place", ["disk", "cpu"])
def test_offloaded_weights_are_looked_at_too(folder: Path, place: str) -> None:
    """Those on disk, or in memory for another device, are brought in one by one."""
    where = {
        "model.vision_tower": "cpu",
        "model.multi_modal_projector": "cpu",
        "model.language_model": place,
        "lm_head": "cpu",
    }
    checkpoint = load(folder, device_map=where)
    offloaded = any(p.is_meta for p in checkpoint.model.parameters())
    assert offloaded == (place == "disk")
    key = next(key for key in weights(folder) if key.endswith("layers.1.mlp.down_proj.weight"))
    damaged(folder, lambda kept: kept[key].fill_(torch.nan))
    with pytest.raises(ModelError, match=r"NaN or infinity in \S*layers\.1\.mlp\.down_proj"):
        load(folder, device_map=where)


def test_weights_without_values_are_refused() -> None:
    with torch.device("meta"):
        empty = nn.Linear(2, 2)
    with pytest.raises(ModelError, match=r"weight \(no values\)"):
        check_finite("empty", empty)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_types_of_8_bits_are_looked_at_in_blocks(dtype: torch.dtype) -> None:
    stored = torch.ones(BLOCK + 3).to(dtype)
    module = nn.Module()
    module.register_buffer("scale", stored)
    module.register_buffer("packed", torch.zeros(3, dtype=torch.uint8))
    check_finite("whole", module)
    stored[-1] = torch.nan
    with pytest.raises(ModelError, match="infinity in scale"):
        check_finite("broken", module)


def test_the_check_of_a_model_refuses_one_that_is_broken(folder: Path) -> None:
    key = next(iter(weights(folder)))
    damaged(folder, lambda kept: kept.pop(key))
    with pytest.raises(ModelError, match="it lacks"):
        check(str(folder))
