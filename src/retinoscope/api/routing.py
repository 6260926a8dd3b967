"""Paths: exact path patching between token groups of two views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl
from jaxtyping import Float
from torch import Tensor

from retinoscope.api.pairing import Groups, named_positions, paired, several, spelled
from retinoscope.interventions.edits import checked_layers
from retinoscope.patching import DIRECTIONS, Pair, Path
from retinoscope.patching import paths as measured
from retinoscope.tokens import Chosen

if TYPE_CHECKING:
    from retinoscope.api.view import View

SHOWN = 24
"""Paths on a screen, at most."""


@dataclass(frozen=True, eq=False)
class Paths:
    """Path patches between groups of positions; made by `rs.paths`.

    Attributes:
        runs: the two runs, and the two tokens whose logits' difference is measured.
        route: the groups' names, in the order of reading.
        asked: the paths, one for each number.
        differences: the logit difference with each path patched.
        words: the two tokens as text, right and wrong.
    """

    runs: Pair
    route: tuple[str, ...]
    asked: tuple[Path, ...]
    differences: Float[Tensor, " paths"]
    words: tuple[str, str]

    def frame(self) -> pl.DataFrame:
        """A row for each path: direction, route, first_layer, last_layer, difference, carried.

        The layers are those of the first step; `carried` is as in `Interchange`.
        """
        share = self.runs.normalised(self.differences).tolist()
        told = zip(self.asked, share, strict=True)
        return pl.DataFrame(
            {
                "direction": [path.direction for path in self.asked],
                "route": [" -> ".join(self.route)] * len(self.asked),
                "first_layer": [path.layers[0] for path in self.asked],
                "last_layer": [path.layers[-1] for path in self.asked],
                "difference": self.differences.tolist(),
                "carried": [1 - s if path.direction == "noising" else s for path, s in told],
            }
        )

    def __repr__(self) -> str:
        clean, corrupt = self.runs.ends
        names = " - ".join(repr(word) for word in self.words)
        lines = [
            f"Paths {' -> '.join(self.route)}: logit difference {names} {clean:.2f} clean, "
            f"{corrupt:.2f} corrupt; share carried by the first step's layers"
        ]
        frame = self.frame()
        for direction in frame["direction"].unique(maintain_order=True):
            rows = list(frame.filter(pl.col("direction") == direction).iter_rows(named=True))
            some = [f"{r['first_layer']}-{r['last_layer']}: {r['carried']:+.2f}" for r in rows]
            more = f", ... {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
            lines.append(f"  {direction}: {', '.join(some[:SHOWN])}{more}")
        return "\n".join(lines)


def paths(
    clean: View,
    corrupt: View,
    route: Groups | Sequence[Chosen],
    *,
    layers: int | Iterable[int | Sequence[int]] | None = None,
    directions: str | Sequence[str] = DIRECTIONS,
    right: str | int | None = None,
    wrong: str | int | None = None,
) -> Paths:
    """Exact path patching between token groups: object at layer l -> question -> last.

    The second group reads the first as it is in the other run, in the layers named; the third
    reads what that made of the second, in all layers behind; and so on. All other positions go on
    reading their own run.

    Args:
        clean: as in `interchange`.
        corrupt: likewise.
        route: at least two groups in the order of reading, by name or in a list.
        layers: one path for each: decoder layers in which the first step is taken, or several of
            them at once (`[(0, 1, 2), (3, 4, 5)]`); None is each layer alone.
        directions: as in `interchange`.
        right: likewise.
        wrong: likewise.

    Raises:
        SelectionError: as in `interchange`, or fewer than two groups.
        InterventionError: a step has no edge in the model.
    """
    runs = paired(clean, corrupt, right, wrong)
    given = route if isinstance(route, Mapping) else {str(i): one for i, one in enumerate(route)}
    named = named_positions(clean, given)
    count, steps = clean.recording.layer_count, len(named) - 1
    if layers is None:
        layers = range(max(0, count - max(steps, 1) + 1))
    each = [layers] if isinstance(layers, int) else list(layers)
    spans = [checked_layers(one, count, "paths") for one in each]
    hops = tuple(named.values())
    asked = [
        Path(direction, span, hops)
        for direction in several("direction", directions, DIRECTIONS)
        for span in spans
    ]
    words = spelled(clean, runs)
    return Paths(runs, tuple(named), tuple(asked), measured(runs, asked), words)
