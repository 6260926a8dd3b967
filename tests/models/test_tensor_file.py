"""A damaged mean is never taken for whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from retinoscope.errors import ModelError
from retinoscope.models import MeanToken, load, mean_from_file, read_mean, write_mean
from retinoscope.models.mean_sums import MeanSums, read_sums, with_image, without_image, write_sums
from retinoscope.models.tensor_file import load_tensors, save_tensors
from tests.damage import unnoticed


def mean(width: int = 6) -> MeanToken:
    vectors = torch.randn(2, width, generator=torch.Generator().manual_seed(0))
    return MeanToken(vectors[0], vectors[1].abs(), 5, 80, ("a.jpg: broken",))


def test_every_damage_to_a_mean_is_noticed_or_harmless(tmp_path: Path) -> None:
    path, whole = tmp_path / "mean.safetensors", mean()
    write_mean(whole, path)

    def same(found: MeanToken) -> bool:
        counts = (found.images, found.tokens, found.skipped)
        return (
            torch.equal(found.value, whole.value)
            and torch.equal(found.standard_error, whole.standard_error)
            and counts == (whole.images, whole.tokens, whole.skipped)
        )

    wrong, noticed = unnoticed(path, lambda: read_mean(path), same, seed=0)
    assert wrong == 0
    assert noticed > 0.9 * len(path.read_bytes())


def test_every_damage_to_sums_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "sums.safetensors"
    vectors = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    whole = without_image(with_image(MeanSums(), vectors), "b.jpg: broken")
    write_sums(whole, path)

    def same(found: MeanSums) -> bool:
        assert found.total is not None and whole.total is not None
        counts = (found.place, found.images, found.weight, found.square_weight, found.skipped)
        expected = (whole.place, whole.images, whole.weight, whole.square_weight, whole.skipped)
        return np.array_equal(found.total, whole.total) and counts == expected

    wrong, noticed = unnoticed(path, lambda: read_sums(path), same, seed=1)
    assert wrong == 0
    assert noticed > 0.9 * len(path.read_bytes())


def test_every_damage_to_a_mean_that_is_given_is_noticed_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    checkpoint = load(tiny.save(tmp_path_factory.mktemp("tiny")))
    path, whole = tmp_path / "mean.safetensors", mean(tiny.WIDTH)
    write_mean(whole, path)
    read = lambda: mean_from_file(checkpoint, path)  # noqa: E731
    wrong, _ = unnoticed(path, read, lambda found: torch.equal(found, whole.value), seed=2)
    assert wrong == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int32, torch.bool])
def test_tensors_of_any_type_and_shape_survive(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {"a": torch.arange(6).reshape(2, 3).T.to(dtype), "b": torch.zeros((), dtype=dtype)}
    save_tensors(tmp_path / "t.safetensors", tensors, {"k": "v"})
    found, metadata = load_tensors(tmp_path / "t.safetensors")
    assert metadata == {"k": "v"}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_a_file_without_checksum_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"mean": torch.zeros(3)}, tmp_path / "t.safetensors")
    with pytest.raises(ModelError, match="computed again"):
        load_tensors(tmp_path / "t.safetensors")
