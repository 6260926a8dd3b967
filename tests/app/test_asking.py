"""What the explorer answers is what the library answers."""

from __future__ import annotations

import numpy as np
import pytest

import retinoscope as rs
from retinoscope.app.requests import MOST_KEPT
from retinoscope.app.session import chosen_tokens
from retinoscope.app.writing import word
from retinoscope.attribution import attention_rollout, integrated_gradients
from retinoscope.data import object_mask
from retinoscope.experiments.ablation.settings import AblationSettings

PATCHES = (5, 6, 9, 10)
ACTIONS = {
    "zero": {"type": "ablate", "value": "zero"},
    "noise": {"type": "ablate", "value": "noise", "seed": 3},
    "knockout": {"type": "knockout", "first": 1, "last": 2},
}


def intervention(view: rs.View, name: str):
    tokens = chosen_tokens(view, PATCHES)
    return {
        "zero": rs.Ablate(tokens, "zero"),
        "noise": rs.Ablate(tokens, rs.Noise(3)),
        "knockout": rs.Knockout(view.last, tokens, layers=[1, 2]),
    }[name]


def test_looking_tells_the_answer_the_likeliest_tokens_and_the_patches(browser, view):
    looked = browser.result("look")
    probability = view.evaluate([()]).probability[0]
    assert looked["answer"] == view.answer()
    assert looked["top"][0]["token"] == int(probability.argmax())
    told = [probability[candidate["token"]] for candidate in looked["top"]]
    assert told == pytest.approx([candidate["probability"] for candidate in looked["top"]])
    assert told == sorted(told, reverse=True)
    grid = view.recording.encoded.layout.spans[0].grid
    assert np.allclose(looked["images"][0]["boxes"], grid.boxes, atol=1e-3)


@pytest.mark.parametrize("name", ACTIONS)
def test_intervening_tells_both_runs(browser, view, name):
    told = browser.result("intervene", patches=PATCHES, action=ACTIONS[name])
    change = intervention(view, name)
    before, after = view.evaluate([(), (change,)]).probability
    assert told["patches"] == len(PATCHES)
    assert (told["before"], told["after"]) == (view.answer(), view.answer(change))
    for moved in told["moved"]:
        assert moved["before"] == pytest.approx(float(before[moved["token"]]), abs=1e-6)
        assert moved["after"] == pytest.approx(float(after[moved["token"]]), abs=1e-6)
    assert {int(before.argmax()), int(after.argmax())} <= {m["token"] for m in told["moved"]}
    assert any(abs(m["before"] - m["after"]) > 1e-4 for m in told["moved"])


@pytest.mark.parametrize("patches", [(), (1, 2)])
def test_kept_steps_are_in_force_together(browser, view, patches):
    kept = [{"patches": PATCHES, "action": ACTIONS["knockout"]}]
    kept.append({"patches": (6, 12), "action": ACTIONS["zero"]})
    told = browser.result("intervene", patches=patches, action=ACTIONS["noise"], kept=kept)
    changes = [
        rs.Knockout(view.last, chosen_tokens(view, PATCHES), layers=[1, 2]),
        rs.Ablate(chosen_tokens(view, (6, 12)), "zero"),
    ]
    if patches:
        changes.append(rs.Ablate(chosen_tokens(view, patches), rs.Noise(3)))
    after = view.evaluate([tuple(changes)]).probability[0]
    assert told["patches"] == len({*PATCHES, 6, 12, *patches})
    assert told["after"] == view.answer(*changes)
    for moved in told["moved"]:
        assert moved["after"] == pytest.approx(float(after[moved["token"]]), abs=1e-6)


def test_a_kept_step_without_patches_and_too_many_steps_are_refused(browser):
    empty = [{"patches": [], "action": ACTIONS["zero"]}]
    event = browser.ask("intervene", patches=[1], action=ACTIONS["zero"], kept=empty)
    assert event["kind"] == "SelectionError"
    many = [{"patches": [1], "action": ACTIONS["zero"]}] * (MOST_KEPT + 1)
    event = browser.ask("intervene", patches=[1], action=ACTIONS["zero"], kept=many)
    assert event["kind"] == "Misunderstood"


def test_replacing_by_an_unknown_mean_is_refused(browser):
    assert browser.client.get("/api/model").json()["mean_known"] is False
    event = browser.ask("intervene", patches=PATCHES, action={"type": "ablate", "value": "mean"})
    assert event["kind"] == "InterventionError"


@pytest.mark.parametrize(("first", "last"), [(3, 2), (0, 4), (90, 99)])
def test_layers_outside_the_model_are_refused(browser, first, last):
    action = {"type": "knockout", "first": first, "last": last}
    event = browser.ask("intervene", patches=PATCHES, action=action)
    assert event["kind"] == "InterventionError"
    assert "0 to 3" in event["message"]


@pytest.mark.parametrize("verb", ["intervene", "read"])
@pytest.mark.parametrize("patches", [(), (16,), (0, 99_999)])
def test_patches_outside_the_image_are_refused(browser, verb, patches):
    fields = {"action": ACTIONS["zero"]} if verb == "intervene" else {}
    assert browser.ask(verb, patches=patches, **fields)["kind"] == "SelectionError"


def test_growing_and_inverting_are_the_token_sets(browser, view):
    assert browser.result("select", patches=[0], how="grow")["patches"] == [0, 1, 4, 5]
    inverted = browser.result("select", patches=[0, 3], how="invert")["patches"]
    assert inverted == [patch for patch in range(16) if patch not in (0, 3)]


def test_a_random_set_has_the_same_size_and_lies_outside(browser):
    draws = [
        browser.result("select", patches=PATCHES, how="random", seed=seed)["patches"]
        for seed in (1, 1, 2)
    ]
    assert all(len(draw) == 4 and not set(draw) & set(PATCHES) for draw in draws)
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("patches", [[], list(range(9))])
def test_a_random_set_that_can_not_be_drawn_is_refused(browser, patches):
    assert browser.ask("select", patches=patches, how="random")["kind"] == "SelectionError"


def test_register_tokens_have_a_norm_over_mean_and_two_deviations(browser, view):
    positions = list(view.tokens.visual)
    norms = view.recording.residual(0)[positions].norm(dim=-1)
    high = (norms > norms.mean() + 2 * norms.std()).nonzero().flatten().tolist()
    event = browser.ask("select", patches=[], how="register")
    if high:
        assert event["result"]["patches"] == high
    else:
        assert event["kind"] == "SelectionError"


def test_an_examples_object_is_selected_by_its_mask(browser, view, session):
    picture = session.examples["example-0"]
    for index, annotation in enumerate(picture.objects):
        found = browser.result("select", patches=[], how="object", object=index)["patches"]
        wanted = view.tokens.under(object_mask(picture.sample, annotation))
        assert list(chosen_tokens(view, tuple(found))) == list(wanted)
    assert browser.ask("select", patches=[], how="object", object=9)["kind"] == "SelectionError"


def test_one_patch_is_read_with_probabilities(browser, view):
    told = browser.result("read", patches=[7])
    reading = view.lens(chosen_tokens(view, (7,)), k=5).reading
    assert len(told["layers"]) == 5
    for layer, shown in enumerate(told["layers"]):
        assert [w["word"] for w in shown] == [
            word(view, token) for token in reading.ids[layer, 0].tolist()
        ]
        assert [w["share"] for w in shown] == pytest.approx(
            reading.probabilities[layer, 0].tolist()
        )
    assert told["entropy"] == pytest.approx(reading.entropy[:, 0].tolist())


def test_several_patches_are_read_by_their_likeliest_words(browser, view):
    told = browser.result("read", patches=PATCHES)
    best = view.lens(chosen_tokens(view, PATCHES), k=1).reading.ids[..., 0]
    for layer, shown in enumerate(told["layers"]):
        words = [word(view, token) for token in best[layer].tolist()]
        assert sum(w["share"] for w in shown) == pytest.approx(1)
        assert {w["word"]: w["share"] * 4 for w in shown} == {w: words.count(w) for w in words}


def test_rollout_and_gradients_are_the_librarys(browser, view):
    told = browser.result("overlay", reading="rollout")
    assert told["scores"] == pytest.approx(attention_rollout(view.recording).tolist(), abs=1e-6)
    told = browser.result("overlay", reading="integrated_gradients", token=9)
    nodes = AblationSettings().gradient_nodes
    found = integrated_gradients(view.recording, 9, tolerance=0.05, most=nodes)
    assert told["scores"] == pytest.approx(found.score.tolist(), abs=1e-4)
    assert told["explains"] == [word(view, 9)]
    assert (
        browser.ask("overlay", reading="integrated_gradients", token=10**6)["kind"]
        == "SelectionError"
    )


def test_tokens_are_plain_text_with_nothing_invisible(browser, view, monkeypatch):
    odd = ["<script>alert(1)</script>", "\u202eab", "\ud800", "\"&'", "\x00"]
    names = [odd[i % len(odd)] for i in range(len(view.recording.logits))]
    monkeypatch.setattr("retinoscope.app.writing.spelled", lambda _: names)
    words = {w["word"] for layer in browser.result("read", patches=[3])["layers"] for w in layer}
    assert words <= {"<script>alert(1)</script>", "\\u202eab", "\\ud800", "\"&'", "\\u0000"}
    assert len(words) > 2
