"""Attribution on models whose layers can't be replayed, or don't attend."""

from __future__ import annotations

import pytest

from retinoscope.attribution import attention_rollout, integrated_gradients
from retinoscope.engine import record
from retinoscope.errors import ModelError
from tests.engine import families


def test_a_model_that_falls_back_is_refused() -> None:
    recording = record(*families.build("florence2"))
    with pytest.raises(ModelError, match="encoder-decoder"):
        integrated_gradients(recording, 3)
    with pytest.raises(ModelError, match="encoder-decoder"):
        attention_rollout(recording)


def test_rollout_is_refused_where_a_layer_does_not_attend() -> None:
    with pytest.raises(ModelError, match="layer 2"):
        attention_rollout(record(*families.build("lfm2_vl")))


@pytest.mark.parametrize("name", ["paligemma", "qwen3_vl", "qwen3_5", "gemma3"])
def test_scores_are_complete_in_every_kind_of_model(name: str) -> None:
    recording = record(*families.build(name))
    mean = recording.residual(0)[list(recording.encoded.layout.visual)].mean(0)
    found = integrated_gradients(recording, 7, baseline=mean, tolerance=0.02)
    # A score that bends too sharply for the points allowed says so, with an honest gap.
    assert found.converged == (found.gap <= 0.02 * abs(found.difference))
    assert abs(float(found.score.sum()) - found.difference) <= found.gap + 1e-4
