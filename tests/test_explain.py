"""Words of an answer are explained where they are predicted; attention is that of the sites."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

import retinoscope as rs
from retinoscope.errors import InterventionError, SelectionError


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> rs.View:
    folder: Path = tiny.save(tmp_path_factory.mktemp("tiny"))
    picture = Image.linear_gradient("L").convert("RGB").resize((56, 56))
    return rs.load(folder).look(picture, "Is there a dog in this image ?", max_new_tokens=6)


def test_several_words_add_up_or_are_averaged(view: rs.View):
    both, one, other = view.explain(1, 3), view.explain(1), view.explain(3)
    assert both.words == [*one.words, *other.words]
    assert both.tokens == tuple(view.teacher_forced([()]).tokens[i] for i in (1, 3))
    summed = one.gradient_x_input().values + other.gradient_x_input().values
    torch.testing.assert_close(both.gradient_x_input().values, summed)
    mean = (one.rollout().values + other.rollout().values) / 2
    torch.testing.assert_close(both.rollout().values, mean)
    everything = list(range(view.recording.length))
    mean = (one.attention().to(everything) + other.attention().to(everything)) / 2
    torch.testing.assert_close(both.attention().to(everything), mean)


def test_a_word_has_the_probability_of_its_place(view: rs.View):
    said, tokens = view.explain(2), view.tokens.at(*view.recording.layout.visual[:4])
    before = view.before(2).evaluate([()]).probability[0, said.tokens[0]]
    torch.testing.assert_close(said.probability()[0], before, atol=1e-5, rtol=1e-4)
    change = rs.Ablate(tokens, "zero")
    forced = view.teacher_forced([change]).probability[0, 2]
    torch.testing.assert_close(said.probability(change)[0], forced)


def test_attention_of_queries_is_the_patterns_mean(view: rs.View):
    queries = [view.recording.layout.visual[2], view.recording.length - 1]
    found = view.attention_from(queries)
    for layer in range(view.recording.layer_count):
        pattern = view.attention(layer)[:, queries].mean(1)
        torch.testing.assert_close(found.map(layer), pattern.mean(0))
        torch.testing.assert_close(found.map(layer, 1), pattern[1])
        torch.testing.assert_close(found.to([3, 5])[layer], pattern[:, [3, 5]].sum(1))
    # A position reads all there is, once.
    assert found.map().sum() == pytest.approx(1, abs=1e-5)
    everything = found.to(range(view.recording.length))
    torch.testing.assert_close(everything, torch.ones_like(everything))


def test_attention_under_interventions_is_the_changed_patterns_mean(view: rs.View):
    token, layers = view.recording.layout.visual[2], view.recording.layer_count
    changes = [rs.Ablate([token], "zero"), rs.Knockout(view.last, [token], range(layers))]
    found, raw = view.attention_from(None, *changes), view.raw_attention(None, *changes)
    patterns = [view.attention(n, None, *changes) for n in range(layers)]
    for layer, pattern in enumerate(patterns):
        torch.testing.assert_close(found.map(layer), pattern[:, -1].mean(0))
        assert not pattern[:, -1, token].any()
    mean = torch.stack([one[:, -1].mean(0) for one in patterns]).mean(0)
    torch.testing.assert_close(raw.values, mean[list(view.recording.layout.visual)])
    assert not torch.allclose(found.map(), view.attention_from().map(), atol=1e-4)
    torch.testing.assert_close(view.attention_from(None, changes).map(), found.map())
    clean = view.rollout().values
    assert not torch.allclose(view.rollout(*changes).values, clean, atol=1e-4)


def test_rollout_of_queries_is_the_mean_of_theirs(view: rs.View):
    last, patch = view.recording.length - 1, view.recording.layout.visual[3]
    torch.testing.assert_close(view.rollout(queries=[last]).values, view.rollout().values)
    mean = (view.rollout().values + view.rollout(queries=[patch]).values) / 2
    torch.testing.assert_close(view.rollout(queries=[patch, last]).values, mean)
    # A patch holds nothing of those behind it.
    assert not view.rollout(queries=[patch]).values[4:].any()


@pytest.mark.parametrize("words", [(), (99,), ("giraffe",), (True,)])
def test_what_the_answer_does_not_hold_is_refused(view: rs.View, words):
    with pytest.raises(SelectionError):
        view.explain(*words)


@pytest.mark.parametrize(("layer", "head"), [(99, None), (-1, None), (None, 99), (0, -1)])
def test_layers_and_heads_that_are_not_there_are_refused(view: rs.View, layer, head):
    with pytest.raises(InterventionError, match=r"give one of 0\.\."):
        view.attention_from().map(layer, head)
