"""Integrated gradients over visual tokens: how much of a token's score each patch accounts for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.engine.budget import ran_out
from retinoscope.engine.cone import first_changed
from retinoscope.engine.replay import run_suffix
from retinoscope.errors import InterventionError, SelectionError
from retinoscope.interventions import Sites, Write
from retinoscope.interventions.ablate import mean_at

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


def integrated_gradients(
    recording: Recording,
    token: int,
    *,
    target: Target = "logit",
    baseline: Float[Tensor, " width"] | Float[Tensor, "tokens width"] | None = None,
    positions: Sequence[int] | None = None,
    tolerance: float = 0.01,
    nodes: int = 5,
    most: int = 256,
    chunk: int = 4,
) -> Attribution:
    """Integrated gradients of one token's score at the last position (Sundararajan et al. 2017).

    The path runs straight from the baseline to the clean visual tokens at the input of the first
    decoder layer; text tokens stay as they are. The integral is taken at Gauss-Legendre nodes.
    While the completeness gap is over the tolerance, the piece of the path with the largest gap
    of its own is halved, so that points go where the score bends: near a zero baseline,
    normalisation makes nearly all of the change happen in the first thousandth of the path.
    Gradients are taken for the visual tokens alone: not for weights, and not through the vision
    tower.

    The paper (section 3.1) ranks tokens by this score; its code explains the logit of the
    beginning-of-text token by mistake, here it is the token that is asked for.

    Args:
        recording: the clean run.
        token: the id of the token to explain, usually the answer's first.
        target: its logit, or its log-probability in nats.
        baseline: where the path begins; None is the mean visual token where it is known, else zero.
        positions: the tokens that travel the path, ascending; None is all visual ones.
        tolerance: the gap that is allowed, as a share of the difference (above 0).
        nodes: points on each piece of the path.
        most: points in all, at most.
        chunk: points of the path in one pass; halved where memory runs out.

    Raises:
        SelectionError: the prompt has no visual token, a position is not in it, or the token is
            not in the vocabulary.
        ModelError: the model's layers can't be replayed.
        InterventionError: the baseline has another shape than the visual tokens, or a number of
            points, or the tolerance, is out of range.
    """
    if tolerance <= 0 or chunk < 1 or not 1 <= nodes <= most:
        raise InterventionError(
            "Integrated gradients need a tolerance above 0, a chunk of at least 1 and 1 <= nodes "
            f"<= most; got tolerance={tolerance}, chunk={chunk}, nodes={nodes}, most={most}."
        )
    recording.require_replay("Integrated gradients")
    path = _path(recording, token, target, baseline, positions)
    scores: dict[float, float] = {}

    def integrated(start: float, end: float) -> _Piece:
        nonlocal chunk
        while True:
            try:
                return path.piece(start, end, nodes, chunk, scores)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if chunk == 1 or not ran_out(error):
                    raise
            chunk //= 2

    pieces = [integrated(0.0, 1.0)]
    used = nodes
    difference = pieces[0].difference
    while True:
        gap = sum(abs(piece.gap) for piece in pieces)
        converged = gap <= tolerance * abs(difference)
        if converged or used + 2 * nodes > most:
            total = torch.stack([piece.attribution for piece in pieces]).sum(0)
            return Attribution(
                positions=path.positions,
                score=total.sum(-1),
                magnitude=total.abs().sum(-1),
                difference=difference,
                gap=gap,
                nodes=used,
                converged=converged,
            )
        worst = max(pieces, key=lambda piece: abs(piece.gap))
        pieces.remove(worst)
        middle = (worst.start + worst.end) / 2
        pieces += [integrated(worst.start, middle), integrated(middle, worst.end)]
        used += 2 * nodes


@dataclass(frozen=True, eq=False)
class _Piece:
    """The integral over one piece of the path, from `start` to `end` in 0 to 1."""

    start: float
    end: float
    attribution: Float[Tensor, "tokens width"]
    difference: float

    @property
    def gap(self) -> float:
        return self.difference - float(self.attribution.double().sum())


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
        self, points: Float[Tensor, " points"]
    ) -> tuple[Float[Tensor, "points tokens width"], Float[Tensor, " points"]]:
        """The visual tokens at some points of the path, and the target there."""
        share = points.to(self.step)[:, None, None]
        tokens = self.baseline + share * self.step
        tokens.requires_grad_(torch.is_grad_enabled())
        writes = Sites((Write(0, self.positions, self.step),))
        start = first_changed(writes, self.recording)
        suffix = self.recording.stream[0][start:].expand(len(points), -1, -1).clone()
        suffix[:, [position - start for position in self.positions]] = tokens
        hidden = run_suffix(self.recording, suffix, start)
        logits = self.recording.unembed(hidden[:, -1]).float()
        scores = logits if self.target == "logit" else logits.log_softmax(-1)
        return tokens, scores[:, self.token]

    @torch.enable_grad()
    def piece(
        self, start: float, end: float, nodes: int, chunk: int, known: dict[float, float]
    ) -> _Piece:
        """The integral of the gradient along one piece, for each token and dimension.

        What the target is at the piece's ends is kept in `known`, and taken from there.
        """
        places, weights = np.polynomial.legendre.leggauss(nodes)
        points = start + (end - start) * torch.from_numpy((places + 1) / 2)
        shares = (end - start) * torch.from_numpy(weights / 2).float()
        total = torch.zeros_like(self.step, dtype=torch.float32)
        for some, share in zip(points.split(chunk), shares.split(chunk), strict=True):
            tokens, scores = self.score(some)
            (gradient,) = torch.autograd.grad(scores.sum(), tokens)
            total += torch.tensordot(share.to(gradient.device), gradient.float(), dims=1)
        total *= self.step.float()
        new = [share for share in (start, end) if share not in known]
        if new:
            with torch.no_grad():
                scores = self.score(torch.tensor(new))[1].double().tolist()
            known.update(zip(new, scores, strict=True))
        return _Piece(start, end, total.cpu(), known[end] - known[start])


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
