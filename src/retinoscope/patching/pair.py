"""Pair: two runs of one model whose sequences are laid out alike, and what tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from retinoscope.brief import brief_fields
from retinoscope.engine import Recording, capture
from retinoscope.errors import SelectionError
from retinoscope.interventions import Site

Direction = Literal["noising", "denoising"]
"""Noising runs the clean prompt with a part from the corrupt run: what is lost was necessary.
Denoising runs the corrupt prompt with a part from the clean one: what comes back is sufficient."""

DIRECTIONS: tuple[Direction, ...] = ("noising", "denoising")

Outputs = Mapping[Site, Float[Tensor, "positions heads width"]]
"""What heads give before the output projection, by the layer's site `z`."""

LEAST = 1e-3
"""Least difference between the two runs' logit differences, as a share of the logits' spread: below
it a share of that difference is rounding."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A clean and a corrupt run, and two tokens whose logits' difference is measured.

    Attributes:
        clean: the run whose answer is `right`.
        corrupt: the run of another image or question.
        right: id of the clean run's answer token.
        wrong: id of the token it is measured against.
    """

    clean: Recording
    corrupt: Recording
    right: int
    wrong: int
    _heads: dict[tuple[int, tuple[int, ...]], Outputs] = field(
        default_factory=dict, init=False, repr=False
    )

    __repr__ = brief_fields

    def heads(self, recording: Recording, layers: tuple[int, ...]) -> Outputs:
        """What every head of some layers gives in one of the two runs, captured once.

        Raises:
            InterventionError: a layer has no heads.
        """
        name = id(recording), layers
        if name not in self._heads:
            self._heads[name] = capture(recording, "z", layers=layers).load()
        return self._heads[name]

    def base(self, direction: Direction) -> Recording:
        """The run that is changed."""
        return self.clean if direction == "noising" else self.corrupt

    def source(self, direction: Direction) -> Recording:
        """The run that states are taken from."""
        return self.corrupt if direction == "noising" else self.clean

    def difference(self, logits: Float[Tensor, "*conditions vocabulary"]) -> Tensor:
        """The right logit less the wrong one, [*conditions]."""
        logits = logits.float()
        return logits[..., self.right] - logits[..., self.wrong]

    @property
    def ends(self) -> tuple[float, float]:
        """The difference of the clean run, and that of the corrupt one."""
        clean, corrupt = (self.difference(r.logits) for r in (self.clean, self.corrupt))
        return float(clean), float(corrupt)

    def normalised(self, difference: Tensor) -> Tensor:
        """(ld - ld_corrupt) / (ld_clean - ld_corrupt): 1 is the clean run, 0 the corrupt one.

        Neither end is a bound: a patch can do more than the whole image, or the opposite.
        """
        clean, corrupt = self.ends
        return (difference - corrupt) / (clean - corrupt)


def pair(
    clean: Recording, corrupt: Recording, right: int | None = None, wrong: int | None = None
) -> Pair:
    """Put two runs beside each other.

    Args:
        clean: the run whose states carry the answer.
        corrupt: a run of the same model on a prompt that is laid out alike: another image under
            the same question, or another question of the same length.
        right: the token measured; None is the likeliest one of the clean run.
        wrong: the token it is measured against; None is the likeliest one of the corrupt run.

    Raises:
        SelectionError: the runs are of two models or laid out differently, the model carries
            several residual streams, the two tokens are the same or not in the vocabulary, or the
            runs don't differ in them.
    """
    if clean.checkpoint.model is not corrupt.checkpoint.model:
        raise SelectionError("The clean and the corrupt run are of two models; look with one.")
    for what, one, other in (
        ("positions", clean.length, corrupt.length),
        ("visual positions", clean.layout.visual, corrupt.layout.visual),
    ):
        if one != other:
            said = f": {one} and {other}" if isinstance(one, int) else ""
            raise SelectionError(
                f"The clean and the corrupt run differ in their {what}{said}. States can be "
                "exchanged only where both prompts are laid out alike: images of one size, "
                "questions of as many tokens."
            )
    if "dimensions" in (clean.fallback or ""):
        raise SelectionError(
            f"{clean.checkpoint.name} carries several residual streams, of which one is recorded, "
            "so that a patch would not be whole."
        )
    right = int(clean.logits.argmax()) if right is None else right
    wrong = int(corrupt.logits.argmax()) if wrong is None else wrong
    vocabulary = clean.logits.shape[-1]
    if right == wrong or not {right, wrong} <= set(range(vocabulary)):
        raise SelectionError(
            f"The difference of two logits needs two tokens of 0..{vocabulary - 1}; got {right} "
            f"and {wrong}. Where both runs answer alike, name them: right=..., wrong=..."
        )
    found = Pair(clean, corrupt, right, wrong)
    one, other = found.ends
    spread = float(clean.logits.float().std())
    if abs(one - other) <= LEAST * spread:
        raise SelectionError(
            f"The difference of the two logits is {one:.4g} in the clean run and {other:.4g} in "
            "the corrupt one: there is nothing between them to trace. Give a pair of inputs with "
            "different answers, or other tokens."
        )
    return found
