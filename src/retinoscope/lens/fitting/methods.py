"""How each kind of lens is fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.errors import ModelError
from retinoscope.lens.fitted import KINDS
from retinoscope.lens.fitting import jacobian, latent, probe, tuned
from retinoscope.lens.fitting.example import Example
from retinoscope.lens.fitting.state import State


@dataclass(frozen=True)
class Fitting:
    """The three steps of fitting one kind.

    Attributes:
        begin: (a recording of the model, the words) -> a state that knows nothing.
        add: (state, example) -> the state with one image more; neither is changed.
        finish: (state, the words) -> the lens' tensors.
    """

    begin: Callable[[Recording, Sequence[int]], State]
    add: Callable[[State, Example], State]
    finish: Callable[[State, Sequence[int]], dict[str, Tensor]]


def fitting(kind: str) -> Fitting:
    """How a kind is fitted.

    Raises:
        ModelError: no such kind.
    """
    known = {
        "tuned-visual": Fitting(tuned.begin, tuned.with_visual, tuned.finish),
        "tuned-text": Fitting(tuned.begin, tuned.with_text, tuned.finish),
        "latent": Fitting(latent.begin, latent.with_texts, latent.finish),
        "jacobian": Fitting(jacobian.begin, jacobian.with_image, jacobian.finish),
        "probe": Fitting(probe.begin, probe.with_labels, probe.finish),
        "probe-shuffled": Fitting(probe.begin, probe.with_shuffled, probe.finish),
    }
    if kind not in known:
        raise ModelError(f"No lens {kind!r} can be fitted; expected one of {', '.join(KINDS)}.")
    return known[kind]
