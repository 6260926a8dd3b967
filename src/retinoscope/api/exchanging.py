"""Interchange: exact activation patching between two views, as data frames and on a screen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jaxtyping import Float
from torch import Tensor

from retinoscope.api.pairing import Groups, named_positions, paired, several, spelled
from retinoscope.errors import SelectionError
from retinoscope.interventions.edits import checked_heads, checked_layers
from retinoscope.patching import (
    APPROXIMATIONS,
    DIRECTIONS,
    Approximation,
    Cell,
    Direction,
    Pair,
    agreement,
    approximated,
    cells,
    exact,
)
from retinoscope.patching.sweep import Progress

if TYPE_CHECKING:
    from retinoscope.api.view import View

_SHADES = " .:-=+*#%@"
"""From no share to all of it, for a map on a screen."""

SHOWN = 24
"""Rows and columns of a map on a screen, at most."""


@dataclass(frozen=True, eq=False)
class Interchange:
    """A sweep of patches between two views; made by `rs.interchange`.

    Attributes:
        runs: the two runs, and the two tokens whose logits' difference is measured.
        cells: what was patched, one for each number.
        differences: the logit difference with each cell patched.
        approximations: what each method that was asked for predicts in their place.
        words: the two tokens as text, right and wrong.
    """

    runs: Pair
    cells: tuple[Cell, ...]
    differences: Float[Tensor, " cells"]
    approximations: Mapping[Approximation, Float[Tensor, " cells"]] = field(default_factory=dict)
    words: tuple[str, str] = ("", "")

    @property
    def normalised(self) -> Float[Tensor, " cells"]:
        """(ld - ld_corrupt) / (ld_clean - ld_corrupt): 1 is the clean run, 0 the corrupt one."""
        return self.runs.normalised(self.differences)

    @property
    def carried(self) -> Float[Tensor, " cells"]:
        """The share of the difference that each patch moves, from its own side.

        Denoising: what it brings back; noising: what it takes away (1 - normalised).
        """
        return self._carried(self.differences)

    def frame(self) -> pl.DataFrame:
        """A row for each cell; `.to_pandas()` makes a pandas frame of it.

        Columns: direction, layer, group, tokens (how many positions), head (-1: the residual
        stream), difference (of the logits), normalised, carried, and for each approximation
        what it says of `carried`.
        """
        columns: dict[str, Any] = {
            "direction": [cell.direction for cell in self.cells],
            "layer": [cell.layer for cell in self.cells],
            "group": [cell.group for cell in self.cells],
            "tokens": [len(cell.positions) for cell in self.cells],
            "head": [cell.head for cell in self.cells],
            "difference": self.differences.tolist(),
            "normalised": self.normalised.tolist(),
            "carried": self.carried.tolist(),
        }
        for name, found in self.approximations.items():
            columns[name] = self._carried(found).tolist()
        return pl.DataFrame(columns)

    def grid(self, direction: Direction, head: int = -1) -> Float[np.ndarray, "layers groups"]:
        """`carried` as a map of layers by groups, both in the order that was asked for.

        Raises:
            SelectionError: the direction or head was not swept.
        """
        here = [(c, s) for c, s in zip(self.cells, self.carried.tolist(), strict=True)]
        kept = {
            (c.layer, c.group): s for c, s in here if (c.direction, c.head) == (direction, head)
        }
        if not kept:
            raise SelectionError(f"{direction!r} of head {head} is not part of this sweep.")
        layers = list(dict.fromkeys(layer for layer, _ in kept))
        groups = list(dict.fromkeys(group for _, group in kept))
        return np.array([[kept[layer, group] for group in groups] for layer in layers])

    def agreement(self) -> pl.DataFrame:
        """How wrong each approximation is on this pair: a row for each method and direction.

        Columns: approximation, direction, n (cells), rank_correlation, slope, signs, and
        sign_agreement, as `retinoscope.patching.Agreement` says; error is the mean absolute one of
        `carried`.
        """
        own = self.carried.double().numpy()
        rows: list[dict[str, Any]] = []
        for name, found in self.approximations.items():
            theirs = self._carried(found).double().numpy()
            for direction in dict.fromkeys(cell.direction for cell in self.cells):
                here = np.array([cell.direction == direction for cell in self.cells])
                told = vars(agreement(own[here], theirs[here]))
                rows.append({"approximation": name, "direction": direction, **told})
        return pl.DataFrame(rows, infer_schema_length=None)

    def __repr__(self) -> str:
        clean, corrupt = self.runs.ends
        names = " - ".join(repr(word) for word in self.words)
        lines = [
            f"Interchange of {len(self.cells)} cells: logit difference {names} "
            f"{clean:.2f} clean, {corrupt:.2f} corrupt"
        ]
        for direction in dict.fromkeys(cell.direction for cell in self.cells):
            lines += self._map(direction)
        for row in self.agreement().iter_rows(named=True) if self.approximations else ():
            rank, slope = row["rank_correlation"], row["slope"]
            lines.append(
                f"{row['approximation']}, {row['direction']}: rank correlation {_brief(rank)}, "
                f"slope {_brief(slope)}, {_brief(row['sign_agreement'])} of signs, n = {row['n']}"
            )
        return "\n".join(lines)

    def _map(self, direction: str) -> list[str]:
        """A map of the strongest of all heads in each place, in characters."""
        share: dict[tuple[int, str], float] = {}
        for cell, found in zip(self.cells, self.carried.tolist(), strict=True):
            key = (cell.layer, cell.group)
            if cell.direction == direction and abs(found) >= abs(share.get(key, 0.0)):
                share[key] = found
        layers = list(dict.fromkeys(layer for layer, _ in share))
        groups = list(dict.fromkeys(group for _, group in share))
        shown, wide = groups[:SHOWN], max(len(group) for group in groups)
        heads = "" if self.cells[0].head < 0 else ", the strongest head of each layer"
        lines = [f"{direction}, share carried by layer {layers[0]} to {layers[-1]}{heads}:"]
        for group in shown:
            row = [share[layer, group] for layer in layers]
            marks = "".join(_shade(one) for one in row)
            strongest = max(row, key=abs)
            lines.append(f"  {group:{wide}} |{marks}| {strongest:+.2f} at most")
        if len(groups) > len(shown):
            lines.append(f"  ... and {len(groups) - len(shown)} more groups")
        return lines

    def _carried(self, differences: Tensor) -> Tensor:
        share = self.runs.normalised(differences).clone()
        noised = [i for i, cell in enumerate(self.cells) if cell.direction == "noising"]
        share[noised] = 1 - share[noised]
        return share


def interchange(
    clean: View,
    corrupt: View,
    groups: Groups | None = None,
    *,
    layers: int | Iterable[int] | None = None,
    heads: int | Collection[int] | str | None = None,
    directions: str | Sequence[str] = DIRECTIONS,
    right: str | int | None = None,
    wrong: str | int | None = None,
    approximations: str | Sequence[str] | bool = (),
    progress: Progress | None = None,
) -> Interchange:
    """Exact activation patching between two views, over every layer, token group and head.

    Each cell is one run with one part exchanged: the residual stream of a group of positions at
    one layer, or one head's output there. All run from the two recordings, packed, and equal full
    forward passes with hooks.

    Args:
        clean: the view whose answer is measured.
        corrupt: another view of the same model whose prompt is laid out alike: another image, or
            another question of as many tokens.
        groups: positions by name; None is the image, the text behind it, and the last position.
        layers: of the residual stream 0 (input of the first decoder layer) to their number
            (output of the last), of heads 0 to their number less one; None is all decoder layers.
        heads: query heads, or "all"; None patches the whole residual stream.
        directions: "noising" (clean run, corrupt part), "denoising" (corrupt run, clean part).
        right: the token measured, a word or an id; None is the clean view's likeliest.
        wrong: the token it is measured against; None is the corrupt view's likeliest.
        approximations: of "attribution", "eap_ig" and "relp", to see how wrong they are; True is
            all three.
        progress: called with the cells that are measured and their number.

    Raises:
        SelectionError: the two can't be compared (see `retinoscope.patching.pair`), or a group,
            direction or approximation is not known.
        InterventionError: a position, layer, head or site is not there.
    """
    runs = paired(clean, corrupt, right, wrong)
    recording = clean.recording
    named = named_positions(clean, groups)
    places = recording.layer_count + (heads is None)
    asked_layers = (
        range(recording.layer_count)
        if layers is None
        else checked_layers(layers, places, "interchange")
    )
    chosen: Sequence[int] = ()
    if heads is not None:
        every = range(recording.head_count)
        chosen = checked_heads(every if heads == "all" else heads, recording, "interchange")  # pyright: ignore[reportArgumentType]
    asked = cells(named, asked_layers, chosen, several("direction", directions, DIRECTIONS))
    methods = approximations
    if isinstance(methods, bool):
        methods = APPROXIMATIONS if methods else ()
    wanted = several("approximation", methods, APPROXIMATIONS) if methods else ()
    return Interchange(
        runs,
        tuple(asked),
        exact(runs, asked, progress),
        {method: approximated(runs, asked, method) for method in wanted},
        spelled(clean, runs),
    )


def _shade(share: float) -> str:
    """A character for a share; "<" below 0."""
    if share < -0.05:
        return "<"
    return _SHADES[min(len(_SHADES) - 1, max(0, round(share * (len(_SHADES) - 1))))]


def _brief(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
