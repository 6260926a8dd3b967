"""What the ten lines of Python promise."""

from __future__ import annotations

import pytest

import retinoscope as rs
from retinoscope.data import embedded_scenes, load_image, object_mask
from retinoscope.errors import InterventionError


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
    with pytest.raises(InterventionError, match="room"):
        rs.answers([vlm.look(image, room=0)], [()])
