"""A mean visual token is read from files of several kinds, and refused where it does not fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import save_file

from retinoscope.errors import ModelError
from retinoscope.models import MeanToken, load, mean_from_file, write_mean


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return load(tiny.save(tmp_path_factory.mktemp("tiny")))


def vector() -> torch.Tensor:
    return torch.linspace(-1, 1, tiny.WIDTH)


@pytest.mark.parametrize("suffix", ["pt", "pth", "npy", "safetensors"])
@pytest.mark.parametrize("shape", [(tiny.WIDTH,), (1, tiny.WIDTH)])
def test_one_vector_of_any_kind_is_read(checkpoint, tmp_path, suffix, shape):
    path = tmp_path / f"mean.{suffix}"
    value = vector().reshape(shape)
    match suffix:
        case "npy":
            np.save(path, value.numpy().astype(np.float64))
        case "safetensors":
            save_file({"anything": value.half()}, path)
        case _:
            # The paper's file: torch.save of one tensor in the model's own precision.
            torch.save(value.half(), path)
    found = mean_from_file(checkpoint, path)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, vector(), atol=1e-3, rtol=0)


def test_our_own_file_gives_the_mean_and_not_its_error(checkpoint, tmp_path):
    path = tmp_path / "mean.safetensors"
    write_mean(MeanToken(vector(), torch.ones(tiny.WIDTH), 5, 80), path)
    assert torch.equal(mean_from_file(checkpoint, path), vector())
    each = torch.stack([vector(), -vector()])
    write_mean(MeanToken(each, torch.ones(2, tiny.WIDTH), 5, 10), path)
    assert torch.equal(mean_from_file(checkpoint, path), each)


class Payload:
    """Runs code when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def test_nothing_pickled_is_run(checkpoint, tmp_path):
    trace = tmp_path / "run"
    for name in ("mean.pt", "mean.npy"):
        (tmp_path / name).write_bytes(pickle.dumps(Payload(trace), protocol=2))
        with pytest.raises(ModelError, match=name):
            mean_from_file(checkpoint, tmp_path / name)
    torch.save(Payload(trace), tmp_path / "zipped.pt")
    with pytest.raises(ModelError, match=r"zipped\.pt"):
        mean_from_file(checkpoint, tmp_path / "zipped.pt")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (torch.zeros(7), r"shape \[7\].*32 wide"),
        (torch.zeros(2, 3, tiny.WIDTH), "expected \\[32\\] or \\[positions, 32\\]"),
        (torch.full((tiny.WIDTH,), float("nan")), "finite"),
        (torch.zeros(tiny.WIDTH, dtype=torch.int64), "int64"),
        ({"mean": torch.zeros(tiny.WIDTH)}, "dict"),
    ],
)
def test_what_does_not_fit_is_refused(checkpoint, tmp_path, value, reason):
    torch.save(value, tmp_path / "mean.pt")
    with pytest.raises(ModelError, match=rf"mean\.pt.*{reason}"):
        mean_from_file(checkpoint, tmp_path / "mean.pt")


def test_a_wrong_file_is_named(checkpoint, tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        mean_from_file(checkpoint, tmp_path / "mean.pt")
    for name in ("mean.txt", "mean", "mean.safetensors", "mean.npy", "mean.pt"):
        (tmp_path / name).write_bytes(b"words")
        with pytest.raises(ModelError, match=name):
            mean_from_file(checkpoint, tmp_path / name)
    save_file({"a": vector(), "b": vector()}, tmp_path / "two.safetensors")
    with pytest.raises(ModelError, match="2 tensors"):
        mean_from_file(checkpoint, tmp_path / "two.safetensors")


def test_a_header_that_breaks_off_is_refused(checkpoint, tmp_path):
    """Numpy reads a header as Python, whose tokenizer has errors of its own."""
    path = tmp_path / "mean.npy"
    np.save(path, vector().numpy())
    path.write_bytes(path.read_bytes().replace(b"}", b" "))
    with pytest.raises(ModelError, match="can't be read"):
        mean_from_file(checkpoint, path)
