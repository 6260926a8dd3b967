"""Fitted lenses: what each must read, and that fitting can be put down and taken up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import coco_scene
import pytest
import tiny
import torch

import retinoscope as rs
from retinoscope.cli.main import commands
from retinoscope.data import Dataset, open_data
from retinoscope.engine import gradient
from retinoscope.errors import ModelError, SampleError, SelectionError
from retinoscope.experiments.lenses.examples import example, words_of
from retinoscope.interventions import Site
from retinoscope.lens import KINDS, FittedLens, logit_lens, model_key, read_fitted, read_lens
from retinoscope.lens.fitting import Example, fitting
from retinoscope.models import Checkpoint, load
from retinoscope.runs import lens_fit
from retinoscope.runs.progress import Silent


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load(tiny.save(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_data(f"coco:{coco_scene.write(tmp_path_factory.mktemp('data'))}")


@pytest.fixture(scope="module")
def examples(checkpoint: Checkpoint, dataset: Dataset) -> list[Example]:
    words = words_of(checkpoint, dataset.categories)
    return [example(checkpoint, s, words, i, KINDS) for i, s in enumerate(dataset.samples)]


@pytest.fixture
def words(checkpoint: Checkpoint, dataset: Dataset) -> list[int]:
    return sorted({*words_of(checkpoint, dataset.categories).values()})


def fitted(kind: str, examples: list[Example], words: list[int]) -> FittedLens:
    method = fitting(kind)
    state = method.begin(examples[0].recording, words)
    for one in examples:
        state = method.add(state, one)
    checkpoint = examples[0].recording.checkpoint
    return FittedLens(kind, method.finish(state, words), model_key(checkpoint), {})


@pytest.mark.parametrize("kind", ["tuned-visual", "tuned-text"])
def test_a_tuned_lens_nears_the_models_own_words(
    kind: str, examples: list[Example], words: list[int]
) -> None:
    method, one = fitting(kind), examples[0]
    recording = one.recording
    state = method.begin(recording, words)
    for _ in range(12):
        state = method.add(state, one)
    assert state["loss"][-1] < 0.8 * state["loss"][0]
    lens = FittedLens(kind, method.finish(state, words), model_key(recording.checkpoint), {})
    last = recording.layer_count
    states = recording.residual(last)
    scores = lens.lens(recording).scores(states, last)
    assert torch.equal(scores, logit_lens(recording).scores(states, last))


def test_a_probe_reads_labels_that_are_there_and_no_shuffled_ones(
    examples: list[Example], words: list[int]
) -> None:
    """Each class has a direction of its own in the states, and labels follow it or don't."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(len(words), tiny.WIDTH, generator=generator)
    made, truth = [], []
    for index in range(40):
        at = index % len(words)
        one = examples[index % len(examples)]
        states = torch.randn(one.recording.length, tiny.WIDTH, generator=generator)
        stream = tuple(0.3 * states + directions[at] for _ in one.recording.stream)
        other = int(torch.randint(len(words), (), generator=generator))
        seen = replace(one.objects[0], token=words[at], shuffled=words[other])
        made.append(replace(one, recording=replace(one.recording, stream=stream), objects=(seen,)))
        truth.append((at, seen.positions))
    right = {}
    for kind in ("probe", "probe-shuffled"):
        lens = fitted(kind, made[:24], words).lens(made[0].recording)
        hits = [
            (lens.scores(one.recording.residual(2)[list(where)], 2)[:, words].argmax(-1) == at)
            for one, (at, where) in zip(made[24:], truth[24:], strict=True)
        ]
        right[kind] = float(torch.cat(hits).float().mean())
    assert right["probe"] > 0.95
    assert right["probe-shuffled"] < 0.6


def test_a_jacobian_lens_is_the_mean_gradient_of_an_answer(
    examples: list[Example], words: list[int]
) -> None:
    lens = fitted("jacobian", examples[:2], words)
    means = []
    for token in words:
        each = [
            gradient(one.answering, token, "resid_pre.2", positions=one.answering.layout.visual)
            for one in examples[:2]
        ]
        means.append(torch.stack([g[Site("resid_pre", 2)].mean(0) for g in each]).mean(0))
    expected = torch.stack(means) - torch.stack(means).mean(0)
    torch.testing.assert_close(lens.tensors["directions"][2].float(), expected)
    reader = lens.lens(examples[0].recording)
    assert reader.words(2) == tuple(words)
    assert reader.words(tiny.LAYERS) == ()
    reading = read_lens(examples[0].recording, [5], k=1, lens=reader)
    assert float(reading.probabilities[-1]) == pytest.approx(1 / len(words))


def test_a_latent_lens_finds_a_words_own_state_at_any_place(
    examples: list[Example], words: list[int]
) -> None:
    lens = fitted("latent", examples, words).lens(examples[0].recording)
    found = 0
    for one in examples:
        recording = one.texts[0]
        ids = recording.encoded.inputs["input_ids"][0].tolist()
        for position in recording.layout.text:
            if ids[position] in words:
                states = torch.stack([stream[position] for stream in recording.stream])
                scores = lens.scores(states, 3)
                assert (scores.argmax(-1) == ids[position]).all()
                assert torch.allclose(scores.max(-1).values, torch.tensor(20.0), atol=1e-3)
                found += 1
    assert found >= 4


def test_a_lens_of_some_words_says_so(examples: list[Example], words: list[int]) -> None:
    recording = examples[0].recording
    lens = fitted("probe", examples, words).lens(recording)
    reading = read_lens(recording, [5, 6], k=len(words), tracked=words[:1], lens=lens)
    assert set(reading.ids.flatten().tolist()) <= set(words)
    assert torch.allclose(reading.probabilities.sum(-1), torch.ones(tiny.LAYERS + 1, 2))
    with pytest.raises(SelectionError, match=f"keeps 1 to {len(words)} tokens"):
        read_lens(recording, [5], k=len(words) + 1, lens=lens)
    with pytest.raises(SelectionError, match="not among them"):
        read_lens(recording, [5], k=1, tracked=[0], lens=lens)


def test_the_default_is_the_logit_lens(examples: list[Example]) -> None:
    recording = examples[0].recording
    one, other = read_lens(recording, [5]), read_lens(recording, [5], lens=logit_lens(recording))
    assert torch.equal(one.ids, other.ids)
    assert torch.equal(one.probabilities, other.probabilities)


def test_a_lens_of_another_model_is_refused(
    examples: list[Example], words: list[int], tmp_path: Path
) -> None:
    other = load(tiny.save(tmp_path, seed=1))
    recording = replace(examples[0].recording, checkpoint=other)
    with pytest.raises(ModelError, match="was fitted on"):
        fitted("probe", examples, words).lens(recording)


class Stopping(Silent):
    """Interrupts after some images."""

    def __init__(self, after: int) -> None:
        self.after = after

    def step(self, done: int) -> None:
        if done >= self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_that_is_taken_up_again_is_the_same(
    kind: str,
    checkpoint: Checkpoint,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "whole"))
    whole = read_fitted(lens_fit.fit_lens(kind, checkpoint, dataset, None, Silent()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "parts"))
    with pytest.raises(KeyboardInterrupt):
        lens_fit.fit_lens(kind, checkpoint, dataset, None, Stopping(2))
    seen = count_images(monkeypatch)
    path = lens_fit.fit_lens(kind, checkpoint, dataset, None, Silent())
    assert len(seen) == len(dataset.samples) - 2
    parts = read_fitted(path)
    assert parts.settings == whole.settings
    for name, tensor in whole.tensors.items():
        assert torch.equal(parts.tensors[name], tensor), name
    assert lens_fit.fit_lens(kind, checkpoint, dataset, None, Silent()) == path
    assert len(seen) == len(dataset.samples) - 2
    assert not list(path.parent.glob("*.partial"))


def count_images(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    seen: list[object] = []
    made = lens_fit.example
    monkeypatch.setattr(lens_fit, "example", lambda *a: seen.append(a[1]) or made(*a))
    return seen


def test_no_usable_image_is_an_error(
    checkpoint: Checkpoint, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def broken(*_: object) -> Iterator[Example]:
        raise SampleError("it is torn")

    monkeypatch.setattr(lens_fit, "example", broken)
    with pytest.raises(ModelError, match="None of 4 images"):
        lens_fit.fit_lens("probe", checkpoint, dataset, None, Silent())
    with pytest.raises(ModelError, match="none that the tokenizer can spell"):
        nameless = replace(dataset, categories=())
        lens_fit.fit_lens("jacobian", checkpoint, nameless, None, Silent())
    with pytest.raises(ModelError, match="expected one of tuned-visual"):
        lens_fit.fit_lens("psychic", checkpoint, dataset, None, Silent())


def test_the_commands_fit_and_show(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, data = str(tiny.save(tmp_path / "model")), f"coco:{dataset.root}"
    picture = str(dataset.samples[0].path)

    def run(*arguments: str) -> None:
        commands(list(arguments), standalone_mode=False)

    with pytest.raises(ModelError, match="lens fit tuned-visual"):
        run("lens", picture, "--model", model, "--lens", "tuned", "--out", str(tmp_path / "no"))
    file = tmp_path / "tuned.safetensors"
    run("lens", "fit", "tuned", "--model", model, "--data", data, "--out", str(file))
    for name in ("tuned", str(file), "logit"):
        out = tmp_path / f"pages-{Path(name).stem}"
        run("lens", picture, "--model", model, "--lens", name, "--out", str(out))
        title = "Logit lens" if name == "logit" else "Tuned-visual lens"
        assert title in (out / "index.html").read_text("utf-8")
    view = rs.load(model).look(picture, "What is in this image ?")
    lens = view.lens(None, by=read_fitted(file), k=2)
    assert "tuned-visual lens" in repr(lens)
    assert lens.top(2) == view.lens(None, by=read_fitted(file), k=4).top(2)
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="damaged"):
        read_fitted(file)
