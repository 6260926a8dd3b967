"""Evaluate: what the model predicts next, under each of many conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.blocking import check_edges
from retinoscope.engine.recording import Recording
from retinoscope.engine.replay import replay
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition, Sites, as_condition, resolve

BATCH_TOKENS = 8192
"""Positions times conditions that run in one pass."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The next-token logits of each condition.

    Attributes:
        logits: float32, one row for each condition, at the last position of the prompt.
    """

    logits: Float[Tensor, "conditions vocabulary"]

    @property
    def margin(self) -> Float[Tensor, " conditions"]:
        """The first token's logit less the second's: where it is tiny, rounding decides."""
        first, second = self.logits.topk(2, dim=-1).values.unbind(-1)
        return first - second

    @property
    def probability(self) -> Float[Tensor, "conditions vocabulary"]:
        """Softmax of the logits."""
        return self.logits.softmax(-1)


@torch.no_grad()
def evaluate(recording: Recording, conditions: Sequence[Condition]) -> Outcome:
    """Next-token logits at the last position under each condition.

    Args:
        recording: the clean run.
        conditions: each a tuple of interventions in force together; () is the clean run.

    Raises:
        InterventionError: an intervention can't be applied here, or did not take effect.
    """
    given = [as_condition(condition) for condition in conditions]
    sites = [checked_sites(condition, recording) for condition in given]
    rows = [
        recording.unembed(replay(recording, chunk)[:, -1]).float()
        for chunk in chunks(sites, recording)
    ]
    width = recording.logits.shape[-1]
    logits = torch.cat(rows) if rows else torch.empty(0, width)
    return Outcome(logits)


def checked_sites(condition: Condition, recording: Recording) -> Sites:
    """What a condition touches on this recording.

    Raises:
        InterventionError: it can't be applied, or would change nothing.
    """
    sites = resolve(condition, recording)
    if condition and not (sites.writes or sites.blocks):
        raise InterventionError(f"{condition!r} touches nothing; leave it out.")
    check_edges(sites, recording)
    return sites


def chunks(sites: Sequence[Sites], recording: Recording) -> Iterator[Sequence[Sites]]:
    """The conditions in batches of bounded size, in their order."""
    size = max(1, BATCH_TOKENS // recording.length)
    for start in range(0, len(sites), size):
        yield sites[start : start + size]
