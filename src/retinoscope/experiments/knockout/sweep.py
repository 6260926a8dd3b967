"""Sweep: one knockout at every single layer, and at every single head of every layer.

The paper knocks out windows of layers (section 5); where in a window, and by which heads, the last
position reads the object is what a sweep tells. The engine replays one position for each knockout,
from its layer on: all those of a model of L layers and H heads cost about H x L / 2 passes of one
token.
"""

from __future__ import annotations

from dataclasses import replace

from retinoscope.engine import Recording
from retinoscope.engine.edits.checks import Checked
from retinoscope.errors import InterventionError, RunError
from retinoscope.experiments.knockout.named import NamedKnockout
from retinoscope.experiments.knockout.settings import SWEEPS
from retinoscope.tokens import TokenSet, last

GROUP, TARGET = "object+1", "last position"
"""The knockout that is swept: the paper's strongest."""


def sweep(
    recording: Recording, keys: TokenSet, kinds: tuple[str, ...]
) -> tuple[list[NamedKnockout], list[tuple[str, str]]]:
    """The knockouts of a sweep from the last position to some keys.

    Args:
        recording: the clean run.
        keys: the tokens of GROUP.
        kinds: which of SWEEPS.

    Returns:
        The knockouts, and (condition, reason) of what can't be swept: every layer where the model
        can't be replayed (each would cost a whole forward pass), and layers in which the last
        position does not read the keys at all.

    Raises:
        RunError: an unknown kind.
    """
    unknown = [kind for kind in kinds if kind not in SWEEPS]
    if unknown:
        raise RunError(f"Sweeps {unknown} are not known; choose from {', '.join(SWEEPS)}.")
    if not kinds:
        return [], []
    if recording.fallback is not None:
        reason = f"a sweep would cost a forward pass for each knockout: {recording.fallback}"
        return [], [("every single layer and head", reason)]
    knockouts: list[NamedKnockout] = []
    missing: list[tuple[str, str]] = []
    check = Checked(recording)
    for layer in range(recording.layer_count):
        whole = NamedKnockout(
            GROUP,
            TARGET,
            f"layer {layer}",
            range(layer, layer + 1),
            keys,
            last(recording.encoded.layout),
        )
        try:
            check.edits((whole.intervention,))
        except InterventionError as error:
            missing.append((whole.window, str(error)))
            continue
        if "layer" in kinds:
            knockouts.append(whole)
        if "head" in kinds:
            knockouts += [_head(whole, head) for head in range(recording.head_count)]
    return knockouts, missing


def _head(whole: NamedKnockout, head: int) -> NamedKnockout:
    return replace(whole, window=f"{whole.window} head {head}", head=head)
