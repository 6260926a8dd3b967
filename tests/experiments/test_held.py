"""With later sublayers held, what is left of a knockout is what the attention itself did."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch

from retinoscope.data import load_image
from retinoscope.engine import capture, evaluate, look, record
from retinoscope.errors import InterventionError
from retinoscope.experiments.held import additions, held_behind
from retinoscope.interventions import Knockout, Site
from retinoscope.models import load
from tests.engine import families
from tests.experiments import wired_model as wired
from tests.experiments.test_wired import hops


def test_what_is_left_is_the_change_of_the_attention_alone(tmp_path: Path) -> None:
    checkpoint = load(tiny.save(tmp_path / "model"))
    (sample, *_) = hops(tmp_path)
    recording = look(checkpoint, load_image(sample), "Is there a dog in this image ?")
    last, keys = [recording.length - 1], recording.layout.visual[:4]
    added = additions(recording, last)
    for layer in range(recording.layer_count):
        cut, own = Knockout(last, keys, [layer]), Site("attn_out_post", layer)
        logits = evaluate(recording, [(cut, held_behind(added, layer, last)), (cut,)]).logits
        other = capture(recording, [own], (cut,), positions=last).load()[own]
        ended = recording.residual(recording.layer_count)[last] + other - added[own]
        torch.testing.assert_close(logits[0], recording.unembed(ended)[0], atol=1e-4, rtol=1e-4)
        assert not torch.allclose(logits[0], logits[1], atol=1e-3)


def test_what_a_later_layer_reads_has_a_total_effect_and_no_direct_one(tmp_path: Path) -> None:
    """The place that layer 2 takes over is what layer 3 looks for; it says nothing by itself."""
    checkpoint = wired.hopping(tmp_path / "model")
    (sample, *_) = hops(tmp_path)
    (asked,) = sample.questions
    recording = look(checkpoint, load_image(sample), asked.text, prefix="It is a")
    last = [recording.length - 1]
    question = [p for p in recording.layout.text if max(recording.layout.visual) < p < last[0]]
    added = additions(recording, last)
    cuts = [Knockout(last, question, [2]), Knockout(last, recording.layout.visual, [3])]
    conditions = [(cut, held_behind(added, at, last)) for cut, at in zip(cuts, (2, 3), strict=True)]
    taking, reading, total = evaluate(recording, [*conditions, (cuts[0],)]).logits
    word = tiny.WORDS.index(asked.word)
    # The final norm makes more of the word where less stands beside it.
    assert float(taking[word]) >= float(recording.logits[word])
    assert max(float(reading[word]), float(total[word])) < 1 < 5 < float(recording.logits[word])


def test_a_model_whose_sublayers_can_not_be_told_apart_is_refused() -> None:
    with pytest.raises(InterventionError, match="can't be held"):
        additions(record(*families.build("lfm2_vl")), [3])
