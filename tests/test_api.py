"""What the ten lines of Python promise."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pytest
import torch
from PIL import Image

import retinoscope as rs
from retinoscope import attribution
from retinoscope.attribution import attention_rollout, integrated_gradients
from retinoscope.data import embedded_scenes, load_image, object_mask
from retinoscope.errors import InterventionError, ModelError, SelectionError

SCENE = embedded_scenes(10, seed=2).samples[0]
THING = SCENE.annotations[0]
MASK = object_mask(SCENE, THING)


@pytest.fixture(scope="module")
def view() -> rs.View:
    vlm = rs.load("embedded", mean=torch.zeros(192), device="cpu")
    return vlm.look(load_image(SCENE), f"Is there a {THING.class_name} in this image?")


@pytest.fixture(scope="module")
def dog(view: rs.View) -> rs.TokenSet:
    return view.tokens.under(MASK)


def test_many_questions_are_answered_as_each_alone() -> None:
    vlm = rs.load("embedded", mean_count=4)
    scene = embedded_scenes(10, seed=2).samples[0]
    image, thing = load_image(scene), scene.annotations[0]
    questions = ("Describe this image.", f"Is there a {thing.class_name} in this image?")
    views = [vlm.look(image, question) for question in questions]
    tokens = views[0].tokens.under(object_mask(scene, thing))
    conditions = [(), (rs.Ablate(tokens.dilate(1)),), (rs.Knockout(views[1].last, tokens, [4]),)]
    found = rs.answers(views[1:], conditions)
    assert found == [views[1].answers(conditions)]
    both = rs.answers(views, conditions[:2])
    assert both == [view.answers(conditions[:2]) for view in views]
    assert both[0][0] != both[0][1]
    with pytest.raises(InterventionError, match="max_new_tokens"):
        rs.answers([vlm.look(image, max_new_tokens=0)], [()])


def test_a_condition_alone_stands_for_a_list_of_one(view, dog):
    ablate, cut = rs.Ablate(dog), rs.Knockout(view.last, dog, range(4, 8))
    wanted = view.evaluate([(ablate, cut)]).logits
    assert torch.equal(view.evaluate((ablate, cut)).logits, wanted)
    assert torch.equal(view.evaluate(ablate).logits, view.evaluate([(ablate,)]).logits)
    assert view.answers(ablate) == [view.answer(ablate)] == view.answers([[ablate]])
    assert view.answer((ablate, cut)) == view.answer(ablate, cut)
    assert rs.answers(view, ablate) == [[view.answer(ablate)]]
    assert view.answers([]) == []


def test_the_tokens_of_a_view_are_its_visual_ones(view):
    everything = view.evaluate(rs.Ablate(view.tokens.visual)).logits
    assert torch.equal(view.evaluate(rs.Ablate(view.tokens)).logits, everything)
    assert len(view.lens(view.tokens).reading.positions) == len(view.tokens) == 144


def test_masks_come_in_every_form(view, dog, tmp_path):
    picture = Image.fromarray(MASK)
    picture.save(tmp_path / "mask.png")
    numbers = MASK.astype(np.uint8) * 255
    forms = [MASK, torch.from_numpy(MASK), MASK[None], numbers, MASK.astype(float), picture]
    for mask in [*forms, tmp_path / "mask.png", str(tmp_path / "mask.png")]:
        assert view.tokens.under(mask) == dog
    for mask, message in (
        (MASK * 0.3 + 0.1, "probabilities > 0.5"),
        (np.arange(MASK.size).reshape(MASK.shape), "labels == 3"),
        (MASK.ravel(), "height, width"),
        (np.stack([MASK] * 3, -1), "height, width"),
    ):
        with pytest.raises(SelectionError, match=message):
            view.tokens.under(mask)


def test_words_of_the_prompt_are_found(view):
    found = view.tokens.word(THING.class_name.upper())
    ids = view.recording.encoded.inputs["input_ids"][0][list(found)]
    assert view.recording.checkpoint.tokenizer.decode(ids).strip() == THING.class_name
    assert len(view.tokens.word("in this image")) == 3
    assert not set(view.tokens.word("there")) & set(view.tokens)
    for missing in ("pengui", "aardvark", "", "<image> <image>"):
        with pytest.raises(SelectionError, match="word"):
            view.tokens.word(missing)


def test_boxes_that_show_nothing_are_refused(view):
    assert len(view.tokens.box(-5, -5, 1, 1)) == 1
    for box in ((40, 40, 20, 60), (500, 0, 600, 90), (float("nan"), 0, 9, 9), (3, 3, 3, 9)):
        with pytest.raises(SelectionError, match="left, top, right, bottom"):
            view.tokens.box(*box)


def test_the_lens_gives_as_many_words_as_are_asked_for(view, dog):
    lens = view.lens(dog)
    twelve = lens.top(12)
    assert {len(words) for layer in twelve for words in layer} == {12}
    assert [[words[:5] for words in layer] for layer in twelve] == lens.top()
    for k in (0, -1, 10_000):
        with pytest.raises(SelectionError, match="A number from 1"):
            lens.top(k)
    with pytest.raises(SelectionError, match="10000"):
        view.lens(dog, k=10_000)


def test_readings_as_data_are_the_readings(view, dog):
    lens = view.lens(dog, rs.Ablate(dog), track=["dog"])
    frame, reading = lens.frame(3), lens.reading
    assert frame.height == reading.ids[..., 0].numel() * 3
    last = frame.filter(layer=8, position=max(dog))
    assert last["token"].to_list() == reading.ids[8, -1, :3].tolist()
    assert last["probability"].to_list() == pytest.approx(reading.probabilities[8, -1, :3].tolist())
    assert last["patch"].unique().to_list() == [max(dog) - view.tokens.visual.layout.visual[0]]
    tracked = lens.tracked().filter(layer=8)
    assert tracked["rank"].to_list() == reading.rank[0, 8].tolist()

    outcome = view.evaluate([(), rs.Ablate(dog)])
    (likeliest, *_), _ = outcome.top(3)
    assert likeliest == view.top(k=1)[0]
    assert likeliest.token == int(view.recording.logits.argmax())
    assert outcome.frame(3)["condition"].to_list() == [0, 0, 0, 1, 1, 1]
    assert outcome.frame(3)["interventions"][0] == "none"
    assert len(outcome.frame(2).to_pandas()) == 4


def test_scores_as_data_are_the_scores(view, dog):
    rollout = view.rollout()
    assert torch.equal(rollout.values, attention_rollout(view.recording))
    frame, grid = rollout.frame(), rollout.grid()
    assert frame.filter(row=3, column=5)["score"].item() == pytest.approx(grid[3, 5])
    assert frame["right"].max() == 192
    best = max(range(144), key=lambda index: float(rollout.values[index]))
    assert list(rollout.top(1)) == [view.tokens.visual.layout.visual[best]]

    token = int(view.recording.logits.argmax())
    few = {"tolerance": 0.5, "most": 5}  # points of the path
    found = view.integrated_gradients(**few)
    wanted = integrated_gradients(view.recording, token, **few)
    assert torch.equal(found.values, wanted.score)
    assert (found.word.token, found.gap) == (token, wanted.gap)
    assert view.integrated_gradients(found.word.text.strip(), dog, **few).word == found.word
    assert found.frame().columns[-2:] == ["score", "magnitude"]
    part = view.integrated_gradients("No", dog, **few)
    assert len(part.values) == len(dog)
    assert np.isnan(part.grid()).sum() == 144 - len(dog)
    for wrong in ("aardvark", 10**6, -1):
        with pytest.raises(SelectionError, match="tokenizer can spell"):
            view.integrated_gradients(wrong)


def test_every_score_of_tokens_is_the_attribution_of_the_run(view):
    recording, yes = view.recording, int(view.recording.logits.argmax())
    shown = {
        "rollout": attribution.attention_rollout(recording),
        "raw_attention": attribution.raw_attention(recording),
        "alti": attribution.alti(recording),
        "chefer": attribution.chefer_relevance(recording, yes),
        "gradient_x_input": attribution.gradient_x_input(recording, yes),
        "attribution_patching": attribution.attribution_patching(recording, yes),
    }
    for name, expected in shown.items():
        found = getattr(view, name)()
        assert torch.equal(found.values, expected), name
        assert (found.tokens, found.frame().height) == (view.tokens.visual, 144)
    word = view.gradient_x_input("No")
    assert "'No'" in word.name and not torch.equal(word.values, shown["gradient_x_input"])
    text = view.rollout(without=view.tokens.text, residual=0).values
    assert torch.equal(
        text,
        attribution.attention_rollout(recording, residual=0, without=recording.layout.text),
    )
    both = view.gradient_x_input(lambda logits: logits[yes] - logits[0])
    assert torch.allclose(both.values, shown["gradient_x_input"] - view.gradient_x_input(0).values)


def test_the_clean_answer_is_followed_word_by_word(view, dog):
    described = rs.VLM(view.recording.checkpoint).look(view.image)
    clean, without = (), (rs.Ablate(dog.dilate(1)),)
    found = described.teacher_forced([clean, without])
    checkpoint = view.recording.checkpoint
    assert checkpoint.text(found.tokens) == described.answer()
    assert found.frame().columns[3:] == ["word", "token", "probability"]
    assert found.frame().height == 2 * len(found.tokens)
    names = {one.class_name for one in SCENE.annotations}
    name = next(word.strip() for word in found.words if word.strip() in names)
    place = [word.strip() for word in found.words].index(name)
    before = described.before(name)
    assert before.recording.length == described.recording.length + place
    assert before.recording.encoded.prompt.endswith(f" {checkpoint.text(found.tokens[:place])}")
    for row, condition in enumerate((clean, without)):
        chance = before.evaluate([condition]).probability[0, found.tokens[place]]
        assert float(found.probability[row, place]) == pytest.approx(float(chance), abs=1e-4)
    assert float(before.chefer(name).values.sum()) > 0
    assert described.before(0).recording is described.recording
    for wrong in ("aardvark", len(found.tokens) + 1, -1):
        with pytest.raises(SelectionError, match="answer"):
            described.before(wrong)


def test_the_mean_is_put_into_a_loaded_model(view):
    checkpoint = view.recording.checkpoint
    vlm = rs.VLM(checkpoint)
    mean = rs.mean_token(vlm, [view.image])
    assert torch.equal(mean.value, rs.mean_token(checkpoint, [view.image]).value)
    changed = vlm.with_mean(mean)
    assert torch.equal(changed.checkpoint.mean, mean.value)
    assert changed.checkpoint.model is checkpoint.model
    with pytest.raises(ModelError, match=r"\[192\]"):
        vlm.with_mean(torch.zeros(7))


def test_everything_public_prints_in_at_most_a_screen(view, dog):
    lens, recording = view.lens(view.tokens), view.recording
    noise = torch.zeros(144, 192)
    outcome = view.evaluate([rs.Ablate(view.tokens, noise), *[rs.Ablate(dog)] * 40])
    shown = [
        rs.VLM(recording.checkpoint),
        *(view, view.tokens, view.tokens.visual, view.tokens.visual - dog, recording),
        *(recording.checkpoint, recording.checkpoint.family, recording.checkpoint.parts),
        *(
            recording.encoded,
            recording.layout,
            recording.layout.spans[0].grid,
            recording.layers[0],
            recording.replay,
        ),
        *(recording.layout.spans[0], lens, lens.reading, outcome, view.rollout()),
        *(
            view.integrated_gradients(),
            view.top(k=10)[0],
            rs.mean_token(recording.checkpoint, [view.image]),
        ),
        *(rs.Ablate(view.tokens, noise), rs.Knockout(view.last, list(view.tokens), range(8))),
        rs.Knockout(view.last, dog, range(8)).edits(recording),
        *rs.Ablate(dog).edits(recording),
    ]
    for one in shown:
        text = repr(one)
        assert len(text) < 1000 and text.count("\n") == 0, text[:2000]


def test_the_version_is_that_of_the_package():
    assert rs.__version__ == version("retinoscope")
    for name in rs.__all__:
        assert getattr(rs, name) is not None
