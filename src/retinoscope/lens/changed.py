"""The logit lens of a run under a condition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from retinoscope.engine import Recording, changed_stream
from retinoscope.interventions import Condition
from retinoscope.lens.lenses import StateLens
from retinoscope.lens.reading import LensReading
from retinoscope.lens.unembedding import read_lens


def read_changed(
    recording: Recording,
    condition: Condition,
    positions: Iterable[int],
    *,
    k: int = 5,
    tracked: Sequence[int] = (),
    lens: StateLens | None = None,
) -> LensReading:
    """Read the residual stream as tokens under a condition, as `read_lens` reads the clean one.

    Args:
        recording: the clean run.
        condition: the interventions in force together; the empty one is the clean run. Others
            cost one forward pass of the model.
        positions: where to read, as in `read_lens`.
        k: as in `read_lens`.
        tracked: as in `read_lens`.
        lens: as in `read_lens`.

    Raises:
        SelectionError, InterventionError: as in `read_lens` and `changed_stream`.
    """
    # Only the stream is read, so that the clean run's other parts may stay as they are.
    states = replace(recording, stream=changed_stream(recording, condition))
    return read_lens(states, positions, k=k, tracked=tracked, lens=lens)
