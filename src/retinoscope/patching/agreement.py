"""Agreement: how wrong an approximation is on this very model, against the exact sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

FEWEST_CELLS = 3
"""Cells below which there is no correlation to speak of."""

SMALL = 1e-3
"""Exact changes below this, as a share of what is to be explained, are not asked for their sign."""


@dataclass(frozen=True)
class Agreement:
    """An approximation's changes beside the exact ones.

    Attributes:
        n: cells compared.
        rank_correlation: Spearman's, -1 to 1; None where either side is constant, or there are too
            few cells.
        slope: least squares through zero of the approximated on the exact changes: 1 is the right
            size, above 1 exaggerates; None where nothing changes.
        signs: cells whose exact change is a thousandth of the difference or more.
        sign_agreement: of these, the share whose approximated change has the same sign; None
            where there are none.
        error: the mean absolute error, in shares of the difference between the two runs.
    """

    n: int
    rank_correlation: float | None
    slope: float | None
    signs: int
    sign_agreement: float | None
    error: float | None


def agreement(
    exact: Float[np.ndarray, " cells"], approximated: Float[np.ndarray, " cells"]
) -> Agreement:
    """Compare changes cell by cell.

    Args:
        exact: measured changes, normalised: the share of the difference between the two runs that
            a cell moves.
        approximated: predicted ones.
    """
    n = len(exact)
    told = np.abs(exact) > SMALL
    same = np.sign(exact[told]) == np.sign(approximated[told])
    square = float((exact**2).sum())
    varied = n >= FEWEST_CELLS and np.ptp(exact) > 0 and np.ptp(approximated) > 0
    ranks = float(stats.spearmanr(exact, approximated)[0]) if varied else None  # pyright: ignore[reportArgumentType]
    return Agreement(
        n=n,
        rank_correlation=ranks,
        slope=float((exact * approximated).sum()) / square if square else None,
        signs=int(told.sum()),
        sign_agreement=float(same.mean()) if len(same) else None,
        error=float(np.abs(exact - approximated).mean()) if n else None,
    )
