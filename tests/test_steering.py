"""Steering towards a word makes it likelier, away from it less likely."""

from __future__ import annotations

import pytest
import torch

import retinoscope as rs
from retinoscope.data import embedded_scenes, load_image
from retinoscope.errors import InterventionError, SelectionError

SCENE = embedded_scenes(10, seed=2).samples[0]


@pytest.fixture(scope="module")
def view() -> rs.View:
    vlm = rs.load("embedded", mean=torch.zeros(192), device="cpu")
    return vlm.look(load_image(SCENE), "What is at the left?", prefix="It is a")


def log_probability(view: rs.View, word: str, *conditions: rs.Steer) -> list[float]:
    said = view.evaluate([(), *conditions])
    return said.logits.log_softmax(-1)[:, word_token(view, word)].tolist()


def word_token(view: rs.View, word: str) -> int:
    return view.recording.checkpoint.tokenizer.encode(f" {word}", add_special_tokens=False)[-1]


@pytest.mark.parametrize("word", ["dog", "cactus", "umbrella"])
@pytest.mark.parametrize("layer", [6, 7, 8])
def test_the_word_is_likelier_the_stronger_it_is_led_there(
    view: rs.View, word: str, layer: int
) -> None:
    steers = [view.towards(word, layer=layer, strength=s) for s in (-1.0, 0.5, 1.0, 2.0)]
    clean, away, little, more, most = log_probability(view, word, *steers)
    assert away < clean < little < more < most


def test_other_words_lose_what_it_is_led_against(view: rs.View) -> None:
    asked = view.towards("dog", layer=7, strength=1.0, against="cat")
    clean, cat = log_probability(view, "cat", asked)
    assert cat < clean
    clean, dog = log_probability(view, "dog", asked)
    assert dog > clean


def test_it_is_the_unembeddings_row_in_norms_of_the_states(view: rs.View) -> None:
    tokens = view.tokens.row(0)
    steer = view.towards("dog", tokens, layer=3, strength=-2.0)
    rows = view.recording.checkpoint.parts.head.get_parameter("weight").detach()
    row = rows[word_token(view, "dog")]
    states = view.recording.residual(3)[list(tokens)]
    expected = -2.0 * states.norm(dim=-1).mean() * row / row.norm()
    assert torch.allclose(torch.as_tensor(steer.direction) * steer.scale, expected, atol=1e-5)
    assert steer.tokens == tokens
    assert view.towards("dog", layer=3).tokens == view.last


def test_what_can_not_be_meant_is_refused(view: rs.View) -> None:
    with pytest.raises(SelectionError, match="can spell"):
        view.towards("\x00", layer=3)
    with pytest.raises(InterventionError, match=r"one of 0\.\.8"):
        view.towards("dog", layer=9)
    with pytest.raises(InterventionError, match="finite"):
        view.towards("dog", layer=3, strength=float("nan"))
    with pytest.raises(InterventionError, match="one token"):
        view.towards("dog", layer=3, against="dog")
