"""Background that is matched to a set of tokens in number and in distance to an object."""

from __future__ import annotations

import numpy as np

from retinoscope.errors import SelectionError
from retinoscope.tokens import TokenSet, at


def distances(tokens: TokenSet, point: tuple[float, float]) -> dict[int, float]:
    """From each token's patch to a point, centre to point, in pixels of the original image.

    Args:
        tokens: visual tokens.
        point: x and y in pixels.
    """
    found: dict[int, float] = {}
    for span in tokens.layout.spans:
        boxes = span.grid.boxes
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        far = np.linalg.norm(centres - np.array(point), axis=1)
        found |= {p: float(d) for p, d in zip(span.positions, far, strict=True) if p in tokens}
    return found


def matched_by_distance(
    wanted: TokenSet, pool: TokenSet, point: tuple[float, float], seed: int
) -> TokenSet:
    """As many tokens of a pool as are wanted, each about as far from a point as one of those.

    The tokens that are wanted are gone through in a random order; each takes the free token of the
    pool whose distance is nearest to its own.

    Args:
        wanted: the set to match.
        pool: what may be taken, without the set.
        point: x and y in pixels, such as an object's centre.
        seed: of the order, and of the choice among equals.

    Raises:
        SelectionError: the pool is too small.
    """
    free = pool - wanted
    if len(free) < len(wanted):
        raise SelectionError(
            f"{len(wanted)} background tokens are wanted but only {len(free)} lie outside of "
            "objects; take images with fewer or smaller objects."
        )
    rng = np.random.default_rng(seed)
    left = distances(free, point)
    order = rng.permutation(list(left)).tolist()
    places, far = np.array(order, dtype=int), np.array([left[p] for p in order])
    taken: list[int] = []
    own = distances(wanted, point)
    for position in rng.permutation(list(own)).tolist():
        nearest = int(np.abs(far - own[position]).argmin())
        taken.append(int(places[nearest]))
        far[nearest] = np.inf
    return at(wanted.layout, taken)
