"""Many conditions' streams, replayed together, are those of a full forward pass each."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from retinoscope.engine import Unreplayable, changed_stream, changed_streams, record
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition, Edits, Site, SitePatch, Write
from tests.engine import families
from tests.engine.conditions import conditions


class Written:
    """One write, as it is."""

    def __init__(self, site: str, layer: int, positions: list[int]) -> None:
        self.write = Write(Site(site, layer), tuple(positions), torch.neg)

    def edits(self, context: object) -> Edits:
        return (self.write,)


@pytest.mark.parametrize("name", ["llava", "gemma3", "qwen3_vl", "lfm2_vl"])
def test_streams_of_many_conditions_are_those_of_full_passes(name: str) -> None:
    recording = record(*families.build(name))
    where = [3, 5, recording.length // 2, recording.length - 3]
    asked: list[Condition] = [()]
    for kind in ("visual rows", "ablation", "last position"):
        asked += conditions(recording)[kind][:2]
    asked += [(Written("mlp_out", layer, where[:2]),) for layer in (0, 3)]
    found = dict(changed_streams(recording, asked, where))
    assert sorted(found) == list(range(len(asked)))
    for index, condition in enumerate(asked):
        states = torch.stack([one[where] for one in changed_stream(recording, condition)])
        torch.testing.assert_close(found[index], states, atol=2e-5, rtol=1e-4)
    assert not torch.equal(found[len(asked) - 1], found[0])
    states = found[len(asked) - 1]
    whole = dict(
        changed_streams(replace(recording, replay=Unreplayable("it can't")), asked[-1:], where)
    )
    torch.testing.assert_close(whole[0], states, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("site", ["z", "attn_probs"])
def test_what_is_written_behind_the_last_position_asked_for_is_written_all_the_same(
    site: str,
) -> None:
    """A function is given all that it names, one head's part and every weight among it."""
    recording = record(*families.build("llava"))
    where, positions = [3, 5], [4, recording.length - 2]
    shape = recording.state_shape(Site(site, 1))
    value = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    condition = (SitePatch(positions, Site(site, 1), value, heads=1),)
    found = dict(changed_streams(recording, [condition], where))[0]
    states = torch.stack([one[where] for one in changed_stream(recording, condition)])
    torch.testing.assert_close(found, states, atol=2e-5, rtol=1e-4)
    assert not torch.equal(found, torch.stack([one[where] for one in recording.stream]))


def test_positions_outside_the_prompt_are_refused() -> None:
    recording = record(*families.build("llava"))
    with pytest.raises(InterventionError, match="positions"):
        list(changed_streams(recording, [()], [recording.length]))
