"""Integrated gradients over visual tokens: how much of a token's score each patch accounts for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.attribution.quadrature import FIRST, Seen, gap, integral, points, refined
from retinoscope.brief import brief_fields
from retinoscope.engine import Recording
from retinoscope.engine.replay.passes import first_changed
from retinoscope.engine.replay.replay import run_suffix
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions import Site, Write
from retinoscope.interventions.ablate import mean_at
from retinoscope.models.memory import ran_out

Target = Literal["logit", "log-probability"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """One score for each token that was attributed to, usually the visual ones.

    Attributes:
        positions: the tokens, ascending.
        score: what each adds to the target between the baseline and the clean tokens, in the
            target's own unit, either sign; float32 on the CPU.
        magnitude: the sum over a token's dimensions of what each adds, without its sign; float32,
            at least |score|.
        difference: the target on the clean tokens minus the target on the baseline, which the
            scores would add up to if the integral were exact (completeness).
        gap: the completeness gap, at least 0: how far the scores' sum lies from the difference,
            added up over the pieces of the path so that errors of opposite sign don't cancel.
        nodes: points of the path at which gradients were taken, in all.
        converged: the gap is within the tolerance that was asked for.
    """

    positions: tuple[int, ...]
    score: Float[Tensor, " tokens"]
    magnitude: Float[Tensor, " tokens"]
    difference: float
    gap: float
    nodes: int
    converged: bool

    __repr__ = brief_fields


def integrated_gradients(
    recording: Recording,
    token: int,
    *,
    target: Target = "logit",
    baseline: Float[Tensor, " width"] | Float[Tensor, "tokens width"] | None = None,
    positions: Sequence[int] | None = None,
    tolerance: float = 0.01,
    most: int = 256,
    chunk: int = 5,
) -> Attribution:
    """Integrated gradients of one token's score at the last position (Sundararajan et al. 2017).

    The path runs straight from the baseline to the clean visual tokens at the input of the first
    decoder layer; text tokens stay as they are. The integral is taken by Simpson's rule (three
    Gauss-Lobatto points) on each piece of the path, of which there are two at first. While the
    completeness gap is over the tolerance, the pieces with the largest gaps of their own are
    halved, as few as can be enough, so that points go where the score bends: the embedded model's
    answers mostly turn within a third of the path, and near a zero baseline normalisation makes
    nearly all of the change happen in its first thousandth. Halves take over the points of the
    whole, so that no pass is in vain. Gradients are taken for the visual tokens alone: not for
    weights, and not through the vision tower; the last layer is run for the last position alone.

    The paper (section 3.1) ranks tokens by this score; its code explains the logit of the
    beginning-of-text token by mistake, here it is the token that is asked for.

    Args:
        recording: the clean run.
        token: the id of the token to explain, usually the answer's first.
        target: its logit, or its log-probability in nats.
        baseline: where the path begins; None is the mean visual token where it is known, else zero.
        positions: the tokens that travel the path, ascending; None is all visual ones.
        tolerance: the gap that is allowed, as a share of the difference (above 0).
        most: points in all, at most; at least 5. The gradient at each is kept until the end.
        chunk: points of the path in one pass; halved where memory runs out.

    Raises:
        SelectionError: the prompt has no visual token, a position is not in it, or the token is
            not in the vocabulary.
        ModelError: the model's layers can't be replayed.
        InterventionError: the baseline has another shape than the visual tokens, or the number of
            points, or the tolerance, is out of range.
    """
    if tolerance <= 0 or chunk < 1 or most < len(points(FIRST)):
        raise InterventionError(
            f"Integrated gradients need a tolerance above 0, a chunk of at least 1 and most >= "
            f"{len(points(FIRST))}; got tolerance={tolerance}, chunk={chunk}, most={most}."
        )
    recording.require_replay("Integrated gradients")
    path = _path(recording, token, target, baseline, positions)
    visit, pieces = _Visits(path, chunk), list(FIRST)
    seen = visit(points(pieces))
    while True:
        gaps = {piece: gap(piece, seen) for piece in pieces}
        difference = seen[1.0].score - seen[0.0].score
        allowed = tolerance * abs(difference)
        halved = refined(gaps, allowed, (most - len(seen)) // 2)
        if len(halved) == len(pieces):
            break
        pieces = halved
        seen |= visit([point for point in points(pieces) if point not in seen])
    total = integral(pieces, seen) * path.step.float().cpu()
    return Attribution(
        positions=path.positions,
        score=total.sum(-1),
        magnitude=total.abs().sum(-1),
        difference=difference,
        gap=sum(gaps.values()),
        nodes=len(seen),
        converged=sum(gaps.values()) <= allowed,
    )


@dataclass(frozen=True, eq=False)
class _Path:
    """The straight line from the baseline to the clean visual tokens, and the score along it."""

    recording: Recording
    token: int
    target: Target
    positions: tuple[int, ...]
    baseline: Float[Tensor, "tokens width"]
    step: Float[Tensor, "tokens width"]

    def score(
        self, places: Float[Tensor, " points"]
    ) -> tuple[Float[Tensor, "points tokens width"], Float[Tensor, " points"]]:
        """The visual tokens at some points of the path, and the target there."""
        share = places.to(self.step)[:, None, None]
        tokens = self.baseline + share * self.step
        tokens.requires_grad_()
        writes = Write(Site("resid_pre", 0), self.positions, self.step)
        start = first_changed((writes,), self.recording)
        suffix = self.recording.stream[0][start:].expand(len(places), -1, -1).clone()
        suffix[:, [position - start for position in self.positions]] = tokens
        hidden = run_suffix(self.recording, suffix, start, [suffix.shape[1] - 1])
        logits = self.recording.unembed(hidden[:, -1]).float()
        scores = logits if self.target == "logit" else logits.log_softmax(-1)
        return tokens, scores[:, self.token]


class _Visits:
    """Takes the score and its gradient at points of a path, several in one pass."""

    def __init__(self, path: _Path, chunk: int) -> None:
        self._path, self._chunk = path, chunk

    def __call__(self, places: Sequence[float]) -> dict[float, Seen]:
        """What is at each of the points."""
        found: dict[float, Seen] = {}
        while len(found) < len(places):
            some = places[len(found) : len(found) + self._chunk]
            try:
                found |= zip(some, self._pass(some), strict=True)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if self._chunk == 1 or not ran_out(error):
                    raise
                self._chunk = max(1, min(self._chunk, len(some)) // 2)
        return found

    @torch.enable_grad()
    def _pass(self, places: Sequence[float]) -> list[Seen]:
        """Once forward and once back."""
        tokens, scores = self._path.score(torch.tensor(places))
        (gradients,) = torch.autograd.grad(scores.sum(), tokens)
        slopes = (gradients.double() * self._path.step.double()).sum((1, 2))
        each = zip(scores.tolist(), slopes.tolist(), gradients.cpu(), strict=True)
        return [Seen(*one) for one in each]


def _path(
    recording: Recording,
    token: int,
    target: Target,
    baseline: Tensor | None,
    chosen: Sequence[int] | None,
) -> _Path:
    vocabulary = recording.logits.shape[-1]
    if not 0 <= token < vocabulary:
        raise SelectionError(f"Token id {token} is not in the vocabulary of 0..{vocabulary - 1}.")
    positions = recording.encoded.layout.visual if chosen is None else tuple(chosen)
    if not positions:
        raise SelectionError("The prompt holds no visual token, so nothing can be attributed.")
    if list(positions) != sorted({*positions} & {*range(recording.length)}):
        raise SelectionError(
            f"Positions to attribute to must ascend within 0..{recording.length - 1}; got "
            f"{list(positions[:5])}, ..."
        )
    clean = recording.residual(0)[list(positions)]
    start = baseline if baseline is not None else mean_at(recording, positions)
    if start is None:
        start = torch.zeros_like(clean)
    if start.shape not in (clean.shape, clean.shape[-1:]):
        raise InterventionError(
            f"The baseline has shape {list(start.shape)}; give [{clean.shape[-1]}] for all visual "
            f"tokens or {list(clean.shape)} for each."
        )
    start = start.to(clean).expand_as(clean)
    return _Path(recording, token, target, positions, start, clean - start)
