"""What integrated gradients explain, and which tokens an object has, under each switch."""

from __future__ import annotations

from dataclasses import replace

import coco_scene
import numpy as np
import pytest
import tiny

from retinoscope.attribution import integrated_gradients
from retinoscope.data import Dataset, open_data
from retinoscope.engine import Generation, Recording, look
from retinoscope.errors import SampleError, SelectionError
from retinoscope.experiments import Settings, Target, curation, read_target
from retinoscope.experiments.ablation.ranking import gradient_ranking
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.selections import Missing, object_tokens
from retinoscope.geometry import PatchGrid, Tile
from retinoscope.models import Checkpoint, load
from retinoscope.results.protocol import CORRECTED, PAPER, Protocol
from retinoscope.tasks import Query, ask, poll
from retinoscope.tokens import TokenLayout
from retinoscope.tokens.layout import VisualSpan

OWN = AblationSettings(gradient_nodes=8)


def settings(**switches: bool) -> Settings:
    return Settings(protocol=replace(CORRECTED, **switches))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load(tiny.save(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_data(f"coco:{coco_scene.write(tmp_path_factory.mktemp('data') / 'coco')}")


@pytest.fixture(scope="module")
def target(dataset: Dataset) -> Target:
    sample = dataset.samples[0]
    return read_target(sample, sample.annotations[0], dataset.categories, Settings())


@pytest.fixture(scope="module")
def asked(checkpoint: Checkpoint, target: Target) -> tuple[Recording, Query]:
    query = ask(target.class_name, "What is at the left ?", checkpoint.tokenizer)
    return look(checkpoint, target.image, query.question, prefix=query.prefix), query


@pytest.fixture(scope="module")
def polled(checkpoint: Checkpoint, target: Target) -> tuple[Recording, Query]:
    query = poll(target.class_name, checkpoint.tokenizer)
    return look(checkpoint, target.image, query.question), query


Run = tuple[Recording, Query]


def ranking(run: Run, target: Target, **switches: bool) -> list[int]:
    found = gradient_ranking(run[0], target, run[1], settings(**switches), OWN)
    assert not isinstance(found, Missing)
    return found


def by_score(run: Run, token: int) -> list[int]:
    found = integrated_gradients(run[0], token, most=8, tolerance=0.05)
    order = np.argsort(-found.score.numpy(), kind="stable")
    return [found.positions[i] for i in order.tolist()]


def test_visual_tokens_are_ranked_for_the_right_token(asked: Run, target: Target) -> None:
    recording, query = asked
    right = max(query.right, key=lambda token: float(recording.logits[token]))
    assert ranking(asked, target) == by_score(asked, right)
    assert sorted(ranking(asked, target)) == list(recording.encoded.layout.visual)


def test_the_original_explains_the_mark_that_begins_a_text(asked: Run, target: Target) -> None:
    first = asked[0].checkpoint.tokenizer.encode("Yes")[0]
    assert ranking(asked, target, gradient_of_bos=True) == by_score(asked, first)


def test_the_polls_prompt_gives_every_task_the_polls_ranking(
    asked: Run, polled: Run, target: Target
) -> None:
    assert ranking(asked, target, gradient_of_poll=True) == ranking(polled, target)
    assert ranking(asked, target, gradient_of_poll=True) != ranking(asked, target)
    assert ranking(polled, target, gradient_of_poll=True) == ranking(polled, target)


def test_a_span_too_long_ranks_the_text_behind_the_image(asked: Run, target: Target) -> None:
    visual = asked[0].encoded.layout.visual
    longer = ranking(asked, target, gradient_span_over=True)
    assert sorted(longer) == [*visual, visual[-1] + 1]


def test_magnitudes_rank_otherwise(asked: Run, target: Target) -> None:
    found = ranking(asked, target, gradient_magnitude=True)
    assert found != ranking(asked, target)
    assert sorted(found) == sorted(ranking(asked, target))


def test_a_task_without_a_right_token_is_explained_by_the_original_alone(
    asked: Run, target: Target
) -> None:
    nothing = replace(asked[1], right=())
    assert isinstance(gradient_ranking(asked[0], target, nothing, settings(), OWN), Missing)
    paper = replace(settings(), protocol=PAPER)
    assert isinstance(gradient_ranking(asked[0], target, nothing, paper, OWN), list)


def placed(side: int, columns: int = 24) -> TokenLayout:
    grid = PatchGrid((side, side), (Tile(columns, columns, (0, 0, side, side)),))
    return TokenLayout(columns**2 + 5, (VisualSpan(tuple(range(2, columns**2 + 2)), grid),))


def pixel(side: int, x: int, y: int) -> np.ndarray:
    mask = np.zeros((side, side), dtype=bool)
    mask[y, x] = True
    return mask


def test_whole_pixels_find_an_object_in_the_wrong_patch() -> None:
    layout, drifting = placed(100), settings(whole_pixel_pitch=True)
    mask = pixel(100, 90, 2)
    assert list(object_tokens(layout, mask, settings())) == [2 + int(90 / (100 / 24))]
    assert list(object_tokens(layout, mask, drifting)) == [2 + 90 // 4]
    with pytest.raises(SelectionError, match="covers no patch"):
        object_tokens(layout, pixel(100, 98, 98), drifting)


def test_where_patches_are_whole_pixels_the_original_finds_the_same() -> None:
    layout, drifting = placed(96), settings(whole_pixel_pitch=True)
    drawn = np.random.default_rng(0)
    for _ in range(5):
        mask = drawn.random((96, 96)) < 0.001
        mask[5, 7] = True
        assert object_tokens(layout, mask, settings()) == object_tokens(layout, mask, drifting)


def test_an_outline_outside_the_centred_square_loses_vertices(dataset: Dataset) -> None:
    dropping = settings(dropped_vertices=True)
    sample = dataset.samples[0]
    inside, across = sample.annotations
    for chosen in (settings(), dropping):
        kept = read_target(sample, inside, dataset.categories, chosen)
        assert kept.mask.sum() == 400
    with pytest.raises(SampleError, match="three vertices"):
        read_target(sample, across, dataset.categories, dropping)


@pytest.mark.parametrize(("text", "ours"), [("It stands located there.", False), ("A cat.", True)])
def test_curation_looks_for_a_word_or_for_a_piece_of_text(
    monkeypatch: pytest.MonkeyPatch,
    checkpoint: Checkpoint,
    dataset: Dataset,
    text: str,
    ours: bool,
) -> None:
    sample = dataset.samples[0]
    named = next(a for a in sample.annotations if a.class_name == "cat")
    target = read_target(sample, named, dataset.categories, Settings())
    said = Generation((), (), ended=True)
    monkeypatch.setattr(curation, "_description", lambda *_: (said, 1))
    monkeypatch.setattr(Checkpoint, "text", lambda *_: text)
    assert curation.curate(checkpoint, target, settings()).named_whole is ours
    loose = settings(substring_curation=True)
    assert curation.curate(checkpoint, target, loose).named_whole


def test_the_settings_are_mended_by_default() -> None:
    assert Settings().protocol == Protocol()
