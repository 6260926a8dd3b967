"""Arrange the things of a scene in one of six kinds of layout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from retinoscope.data.scenes.classes import THEMES
from retinoscope.data.scenes.dealing import Hand, deal
from retinoscope.data.scenes.layout import BANDS, SIZE
from retinoscope.data.scenes.layouts import KINDS, PATCH, Layout, Thing
from retinoscope.data.scenes.overlap import place_pair
from retinoscope.data.scenes.sprites import SpriteSplit
from retinoscope.errors import DataError

MOST = 6
"""Most things in a scene."""

COUNTS = {(1, 5): 0.3, (1, 3): 0.05, (1, 4): 0.15, (2, 3): 0.3, (2, 4): 0.2}
"""How many there are of two classes, and how often: no number is the answer in more than a quarter
of the questions."""

_SIZES = {1: (44, 96), 2: (40, 80), 3: (38, 66), 4: (38, 58), 5: (38, 54), 6: (36, 50)}
# Rows and columns of the kind "rows"; rows of three are the shortest in which the neighbour at
# one side may be the outermost thing or not.
_SHAPES = {(1, 3): 0.2, (3, 1): 0.1, (2, 3): 0.4, (3, 2): 0.3}
_SMALLEST = 30
_BLOCK = 4 * PATCH

Draw = Callable[[Hand, np.random.Generator, SpriteSplit], list[Thing]]


def arrange(kind: str, seed: int, index: int, sprites: SpriteSplit = "train") -> Layout:
    """Arrange one scene; the same arguments always give the same layout.

    The kinds are

    - "scatter": 2 to 6 things of different classes, apart from each other.
    - "overlap": two things whose boxes have an IoU of 0, .1, .25 or .5, and up to two more apart.
    - "rows": one or two rows, or columns, of three different things in different colours.
    - "groups": things of two classes, of one more than of the other, 3 to 6 in all.
    - "congruent": 2 to 4 things of one size, each in the middle of a square of 4 x 4 patches; in
      a quarter of the scenes two of them are of one class.
    - "twins": two things that differ in colour and place alone, and up to two others.

    Things stand wholly in the image and clear of the borders between its thirds.

    Args:
        kind: see above.
        seed: of the collection, 0 or more.
        index: number of the scene, 0 or more; classes, colours and sizes are dealt equally over
            every 32.
        sprites: "train" or "heldout".

    Raises:
        DataError: the kind is unknown.
    """
    if kind not in KINDS:
        raise DataError(f"layout kind {kind!r} is unknown; use one of {', '.join(KINDS)}")
    number = KINDS.index(kind)
    rng = np.random.default_rng((seed, index, 4, number))
    hand = deal((seed, 5, number), index, MOST)
    theme = tuple(THEMES)[rng.integers(len(THEMES))]
    things = _DRAWS[kind](hand, rng, sprites)
    return Layout(kind, theme, tuple(things), int(rng.integers(2**31)), sprites)


def in_turn(kinds: str, seed: int, number: int, sprites: SpriteSplit = "train") -> Layout:
    """One scene of a collection: of one kind, or of several joined by "+", which take turns.

    Args:
        kinds: such as "rows" or "rows+groups".
        seed: of the collection.
        number: of the scene, from 0.
        sprites: "train" or "heldout".

    Raises:
        DataError: a kind is unknown.
    """
    names = kinds.split("+")
    turn, place = divmod(number, len(names))
    return arrange(names[place], seed, turn, sprites)


def style(rng: np.random.Generator) -> int:
    """A seed of how a thing is drawn."""
    return int(rng.integers(2**31))


def clear(x: float, y: float) -> bool:
    """Whether a point is clear of the borders between the thirds of the image."""
    return all(any(low <= c / SIZE <= high for low, high in BANDS) for c in (x, y))


def apart(things: list[Thing], around: tuple[Thing, ...] = ()) -> bool:
    """Whether each thing's box has at least a pixel to every other's and to those around."""
    return all(
        max(abs(a.x - b.x), abs(a.y - b.y)) > (a.size + b.size) / 2 + 1
        for i, a in enumerate(things)
        for b in (*things[:i], *around)
    )


def spread(
    names: list[str],
    paints: list[str | None],
    quantiles: tuple[float, ...],
    rng: np.random.Generator,
    around: tuple[Thing, ...] = (),
) -> list[Thing]:
    """Place things in cells of a 3 x 3 grid, apart from each other and from those around.

    Args:
        names: class of each thing.
        paints: colour of each thing.
        quantiles: size of each in [0, 1) of the range that fits so many things.
        rng: source of places and styles.
        around: things that stand already.

    Raises:
        DataError: there is no room.
    """
    low, high = _SIZES[len(names) + len(around)]
    sizes = np.exp(np.log(low) + np.array(quantiles[: len(names)]) * np.log(high / low))
    styles = [style(rng) for _ in names]
    while min(sizes, default=_SMALLEST) >= _SMALLEST:
        for _ in range(30):
            cells = rng.permutation(9)[: len(names)].tolist()
            things = [
                Thing(name, *_in_cell(cell, size, rng), size, paint, seed)
                for name, cell, size, paint, seed in zip(
                    names, cells, sizes.astype(int).tolist(), paints, styles, strict=True
                )
            ]
            if apart(things, around):
                return things
        sizes = np.maximum(sizes * 0.93, _SMALLEST) if max(sizes) > _SMALLEST else sizes - 1
    raise DataError(f"{len(names)} more things of {_SMALLEST} px find no room; take away some")


def _in_cell(cell: int, size: int, rng: np.random.Generator) -> tuple[int, int]:
    """A centre in a cell such that the thing lies wholly in the image."""
    edge = (size / 2 + 1) / SIZE
    x, y = (
        round(SIZE * rng.uniform(max(edge, low), min(1 - edge, high)))
        for low, high in (BANDS[cell % 3], BANDS[cell // 3])
    )
    return x, y


def _some(hand: Hand, count: int, rng: np.random.Generator, share: float) -> list[str | None]:
    """Paints of the first things; each is painted with a chance of `share`."""
    return [paint if rng.random() < share else None for paint in hand.paints[:count]]


def _scatter(hand: Hand, rng: np.random.Generator, sprites: SpriteSplit) -> list[Thing]:
    count = int(rng.integers(2, MOST + 1))
    return spread(list(hand.names[:count]), _some(hand, count, rng, 0.5), hand.sizes, rng)


def _overlap(hand: Hand, rng: np.random.Generator, sprites: SpriteSplit) -> list[Thing]:
    more = int(rng.choice(3, p=(0.5, 0.3, 0.2)))
    paints = _some(hand, 2 + more, rng, 0.5)
    pair = place_pair(hand, paints, rng, sprites)
    rest = spread(list(hand.names[2 : 2 + more]), paints[2:], hand.sizes[2:], rng, pair)
    return [*rest, *pair]


def _rows(hand: Hand, rng: np.random.Generator, sprites: SpriteSplit) -> list[Thing]:
    shapes = list(_SHAPES)
    rows, columns = shapes[rng.choice(len(shapes), p=list(_SHAPES.values()))]
    pitch = rng.uniform(52, 62)
    centre = rng.uniform(-4, 4, 2) + SIZE / 2
    # Two rows lie in any two of the three thirds, so that places say little.
    ys, xs = (sorted(rng.permutation(3)[:n] - 1) if n < 3 else (-1, 0, 1) for n in (rows, columns))
    things = []
    for slot, (dy, dx) in enumerate((dy, dx) for dy in ys for dx in xs):
        x, y = centre + pitch * np.array((dx, dy)) + rng.uniform(-3, 3, 2)
        size = int(38 + hand.sizes[slot] * (pitch - 46))
        things.append(
            Thing(hand.names[slot], round(x), round(y), size, hand.paints[slot], style(rng))
        )
    return things


def _groups(hand: Hand, rng: np.random.Generator, sprites: SpriteSplit) -> list[Thing]:
    pairs = list(COUNTS)
    counts = rng.permutation(pairs[rng.choice(len(pairs), p=list(COUNTS.values()))]).tolist()
    names = [name for name, n in zip(hand.names[:2], counts, strict=True) for _ in range(n)]
    return spread(names, _some(hand, len(names), rng, 0.3), hand.sizes, rng)


def _congruent(hand: Hand, rng: np.random.Generator, sprites: SpriteSplit) -> list[Thing]:
    count = int(rng.integers(2, 5))
    names = list(hand.names[:count])
    if rng.random() < 0.25:
        names[1] = names[0]
    size = int(50 + hand.sizes[0] * 13)
    return [
        Thing(
            name,
            cell % 3 * _BLOCK + _BLOCK // 2,
            cell // 3 * _BLOCK + _BLOCK // 2,
            size,
            paint,
            style(rng),
        )
        for name, paint, cell in zip(
            names, _some(hand, count, rng, 0.5), rng.permutation(9).tolist(), strict=False
        )
    ]


def _twins(hand: Hand, rng: np.random.Generator, sprites: SpriteSplit) -> list[Thing]:
    more = int(rng.integers(3))
    names = [hand.names[0], *hand.names[: 1 + more]]
    one, other, *rest = spread(names, list(hand.paints[: 2 + more]), hand.sizes, rng)
    size = min(one.size, other.size)
    return [
        Thing(one.name, one.x, one.y, size, one.paint, one.style),
        Thing(one.name, other.x, other.y, size, other.paint, one.style),
        *rest,
    ]


_DRAWS: dict[str, Draw] = {
    "scatter": _scatter,
    "overlap": _overlap,
    "rows": _rows,
    "groups": _groups,
    "congruent": _congruent,
    "twins": _twins,
}
