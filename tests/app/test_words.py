"""What the explorer says of single words and of attention is what the library says."""

from __future__ import annotations

import pytest
import torch

import retinoscope as rs
from retinoscope.app.session import chosen_tokens
from retinoscope.app.writing import word

PATCHES = (5, 6, 9, 10)
ZERO = {"type": "ablate", "value": "zero"}


def test_every_word_has_its_probability_with_and_without(browser, view):
    looked, told = browser.result("look"), browser.result("intervene", patches=PATCHES, action=ZERO)
    forced = view.teacher_forced([(), rs.Ablate(chosen_tokens(view, PATCHES), "zero")])
    assert len(looked["words"]) == len(forced.tokens) > 2
    assert [one["word"] for one in told["words"]] == [word(view, t) for t in forced.tokens]
    for name, row in zip(("before", "after"), forced.probability.tolist(), strict=True):
        assert [one[name] for one in told["words"]] == pytest.approx(row, abs=1e-5)
    assert [w["before"] for w in looked["words"]] == pytest.approx(
        [w["before"] for w in told["words"]], abs=1e-5
    )
    assert all(one["after"] is None for one in looked["words"])


def test_the_prompts_text_is_told_token_by_token(browser, view):
    looked = browser.result("look")
    layout = view.recording.layout
    assert looked["visual"] == list(layout.visual)
    assert [one["position"] for one in looked["text"]] == list(layout.text)
    ids = view.recording.encoded.inputs["input_ids"][0].tolist()
    assert [one["word"] for one in looked["text"]] == [word(view, ids[p]) for p in layout.text]


@pytest.mark.parametrize("places", [[2], [1, 4]])
@pytest.mark.parametrize("reading", ["gradient_x_input", "integrated_gradients", "rollout"])
def test_a_word_is_explained_where_it_is_predicted(browser, view, reading, places):
    told = browser.result("overlay", reading=reading, places=places)
    answer = view.teacher_forced([()]).tokens
    found = []
    for place in places:
        before = view.before(place)
        one = (
            before.rollout()
            if reading == "rollout"
            else getattr(before, reading)(answer[place], **OPTIONS.get(reading, {}))
        )
        found.append(one.values)
    whole = torch.stack(found)
    whole = whole.mean(0) if reading == "rollout" else whole.sum(0)
    assert told["scores"] == pytest.approx(whole.tolist(), abs=1e-4)
    assert told["explains"] == [word(view, answer[place]) for place in places]


OPTIONS = {"integrated_gradients": {"tolerance": 0.05, "most": 13}}


def test_attention_of_any_query_over_any_keys(browser, view):
    layout = view.recording.layout
    queries, keys = [layout.visual[7], layout.text[-2]], [layout.visual[0], layout.text[1]]
    asked = {"queries": queries, "keys": keys, "layer": 2, "head": 1}
    told = browser.result("overlay", reading="attention", **asked)
    pattern = view.attention(2, 1)[sorted(queries)].mean(0)
    assert told["scores"] == pytest.approx(pattern[list(layout.visual)].tolist(), abs=1e-6)
    assert told["text"] == pytest.approx(pattern[list(layout.text)].tolist(), abs=1e-6)
    for layer in range(view.recording.layer_count):
        whole = view.attention(layer)[:, sorted(queries)].mean(1)[:, keys].sum(1)
        assert told["table"][layer] == pytest.approx(whole.tolist(), abs=1e-6)
    averaged = browser.result("overlay", reading="attention", queries=queries)
    every = [view.attention(layer)[:, sorted(queries)].mean((0, 1)) for layer in range(4)]
    mean = torch.stack(every).mean(0)[list(layout.visual)]
    assert averaged["scores"] == pytest.approx(mean.tolist(), abs=1e-6)


def test_attention_of_a_word_is_read_where_it_is_predicted(browser, view):
    told = browser.result("overlay", reading="attention", places=[3])
    last = view.before(3).attention_from()
    visual = list(view.recording.layout.visual)
    assert told["scores"] == pytest.approx(last.map()[visual].tolist(), abs=1e-6)
    assert "the answer so far" in told["note"]


def test_attention_is_read_with_steps_in_force(browser, view):
    """Behind the answer so far a knockout of the last position holds for those that follow."""
    knockout = {"type": "knockout", "first": 0, "last": 3, "heads": []}
    steps = [{"patches": PATCHES, "action": knockout}]
    change = rs.Knockout(view.last, chosen_tokens(view, PATCHES), range(4))
    visual = list(view.recording.layout.visual)
    for places in ([0], [3]):
        said = view.explain(*places)
        told = browser.result("overlay", reading="attention", places=places, steps=steps)
        found = said.attention(change).map()[visual]
        assert told["scores"] == pytest.approx(found.tolist(), abs=1e-6)
        assert not any(told["scores"][patch] for patch in PATCHES)
        assert told["scores"] != browser.result("overlay", reading="attention", places=places)
        rolled = browser.result("overlay", reading="rollout", places=places, steps=steps)["scores"]
        assert rolled == pytest.approx(said.rollout(change).values.tolist(), abs=1e-6)
    first = view.explain(0).attention(change).map()
    torch.testing.assert_close(first, view.attention_from(None, change).map())
    refused = browser.ask("overlay", reading="gradient_x_input", steps=steps)
    assert "clean run" in refused["message"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"places": [99]},
        {"queries": [9999]},
        {"keys": [9999]},
        {"layer": 99},
        {"head": 99},
        {"token": 10**6},
        {"token": 3, "places": [2]},
    ],
)
def test_what_is_not_there_is_refused(browser, wrong):
    event = browser.ask("overlay", reading="attention", **wrong)
    assert event["kind"] in ("SelectionError", "InterventionError")


def test_heads_are_knocked_out_alone(browser, view):
    action = {"type": "knockout", "first": 1, "last": 2, "heads": [1, 3]}
    told = browser.result("intervene", patches=PATCHES, action=action)
    change = rs.Knockout(view.last, chosen_tokens(view, PATCHES), [1, 2], [1, 3])
    after = view.evaluate([change]).probability[0]
    for moved in told["moved"]:
        assert moved["after"] == pytest.approx(float(after[moved["token"]]), abs=1e-6)
    event = browser.ask("intervene", patches=PATCHES, action={**action, "heads": [99]})
    assert event["kind"] == "InterventionError"


def test_states_are_patched_from_another_image(browser, view, session):
    action = {"type": "patch", "image": "example-1", "layer": 0}
    everything = list(range(16))
    told = browser.result("intervene", patches=everything, action=action)
    other = session.vlm.look(
        session.examples["example-1"].image, view.prompt.parts[-1], max_new_tokens=6
    )
    # The whole image's states at the first layer's input are the other image.
    assert told["after"] == other.answer() != told["before"] or told["moved"]
    after = other.evaluate([()]).probability[0]
    for moved in told["moved"]:
        assert moved["after"] == pytest.approx(float(after[moved["token"]]), abs=1e-5)
    event = browser.ask("intervene", patches=[1], action={**action, "layer": 4})
    assert event["kind"] == "InterventionError"


def test_steering_adds_the_words_direction(browser, view):
    tokens = chosen_tokens(view, PATCHES)
    asked = {"type": "steer", "word": "dog", "layer": 2, "strength": 3.0}
    told = browser.result("intervene", patches=PATCHES, action=asked)
    head = view.recording.checkpoint.parts.head.weight
    row = head[view.recording.checkpoint.tokenizer.encode("dog", add_special_tokens=False)[-1]]
    norm = view.recording.residual(2)[list(tokens)].norm(dim=-1).mean()
    change = rs.Steer(tokens, 2, row.detach() / row.detach().norm(), float(3 * norm))
    after = view.evaluate([change]).probability[0]
    for moved in told["moved"]:
        assert moved["after"] == pytest.approx(float(after[moved["token"]]), abs=1e-5)
    event = browser.ask("intervene", patches=PATCHES, action={**asked, "word": "\x00"})
    assert event["kind"] == "SelectionError"


def test_each_of_several_images_is_shown(browser, session):
    images = ["example-0", "example-1", "example-0"]
    looked = browser.result("look", images=images)
    assert [one["key"] for one in looked["images"]] == images
    assert [one["first"] for one in looked["images"]] == [0, 16, 32]
    assert len(looked["visual"]) == 48
    view = session.vlm.look(
        [session.examples[key].image for key in images], "Is there a dog in this image ?"
    )
    scores = browser.result("overlay", images=images, reading="rollout")["scores"]
    assert scores == pytest.approx(view.rollout().values.tolist(), abs=1e-5)
    masked = browser.result("select", images=images, patches=[], how="object", image=1)["patches"]
    alone = browser.result("select", images=["example-1"], patches=[], how="object")["patches"]
    assert masked == [16 + patch for patch in alone]
    action = {"type": "patch", "image": "example-1", "layer": 1}
    event = browser.ask("intervene", images=images, patches=[1, 17], action=action)
    assert "2 images" in event["message"]


def test_no_image_and_too_many_are_refused(browser):
    for images in ([], ["example-0"] * 9):
        assert browser.ask("look", images=images)["kind"] == "Misunderstood"
