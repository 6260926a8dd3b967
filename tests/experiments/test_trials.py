"""What can't be had of an ablation is named, and costs nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

from retinoscope.data import Annotation, Sample
from retinoscope.engine import Recording, Unreplayable, look
from retinoscope.experiments import Settings, Target
from retinoscope.experiments.ablation.measure import donor
from retinoscope.experiments.ablation.settings import AblationSettings
from retinoscope.experiments.ablation.trials import common_trials, gradient_trials
from retinoscope.models import load
from retinoscope.tasks import poll

SETTINGS = Settings(buffers=(0,), values=("zero", "resampled"))
OWN = AblationSettings(sizes=())


@pytest.fixture(scope="module")
def target() -> Target:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8)
    mask = np.zeros((60, 60), dtype=bool)
    mask[10:30, 10:30] = True
    annotation = Annotation(1, "dog", 400.0, (10.0, 10.0, 20.0, 20.0), False, b"")
    sample = Sample(1, Path("1.png"), 60, 60, (annotation,))
    return Target(sample, annotation, Image.fromarray(pixels), mask, "", "")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Recording:
    checkpoint = load(tiny.save(tmp_path_factory.mktemp("model")))
    return look(checkpoint, target.image, "Is there a dog in this image ?")


def test_without_another_image_only_resampling_is_missing(
    recording: Recording, target: Target
) -> None:
    assert donor(target, [(target.sample, target.annotation)]) is None
    trials = common_trials(recording, target, None, SETTINGS, OWN)
    assert {trial.value for trial in trials.ready} == {"zero"}
    missing = {one.condition: one.reason for one in trials.missing if "resampled" in one.condition}
    assert set(missing) == {"object resampled", "random resampled"}
    assert set(missing.values()) == {"there is no other image to take"}


def test_a_model_that_is_run_whole_lacks_gradients_alone(
    recording: Recording, target: Target
) -> None:
    query = poll("dog", recording.checkpoint.tokenizer)
    assert gradient_trials(recording, target, query, None, SETTINGS, OWN).ready
    whole = replace(recording, replay=Unreplayable("it can't"))
    trials = gradient_trials(whole, target, query, None, SETTINGS, OWN)
    assert trials.ready == ()
    assert [one.condition for one in trials.missing] == ["gradients"]
    assert "it can't" in trials.missing[0].reason
