"""Trials: kinds of tokens taken away, kept alone, permuted, or given another image's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording, capture
from retinoscope.experiments.globals.reading import far
from retinoscope.experiments.globals.types import Kinds
from retinoscope.experiments.objects import Scene
from retinoscope.experiments.replacing import replaced, values_at_hand
from retinoscope.experiments.settings import Settings
from retinoscope.experiments.target import random_source
from retinoscope.interventions import Ablate, Condition, Context, Edits, PathPatch
from retinoscope.interventions.path_patch import Sources
from retinoscope.tokens import TokenSet, visual

PLACES = ("all", "object+1", "background", "far background")
"""Sets of tokens by place."""

SHUFFLED = ("background", "far background")
"""Sets that are also read as without objects, permuted, and given another image's tokens."""

DESCRIBED = ("all", "far background")
"""Sets under which descriptions are asked for; and every kind that is found in the data."""


@dataclass(frozen=True, eq=False)
class ReadElsewhere:
    """Text behind the image reads some tokens as they are in another run; they go on as they are.

    What is replaced at the input the layers may write there again; what is read so holds what that
    run's image holds, with nobody's attention renormalised.

    Attributes:
        tokens: visual tokens.
        source: their keys and values in the other run.
    """

    tokens: TokenSet
    source: Sources

    def edits(self, context: Context) -> Edits:
        """Patched paths, in every layer."""
        end = max(context.layout.visual)
        behind = [position for position in context.layout.text if position > end]
        layers = range(context.layer_count)
        return PathPatch(behind, self.tokens, layers, self.source).edits(context)


@dataclass(frozen=True, eq=False)
class Trial:
    """One condition, as in GlobalRecord."""

    token_type: str
    mode: str
    random: bool
    tokens: int
    condition: Condition

    @property
    def described(self) -> bool:
        """Whether descriptions are asked for under it."""
        return not (self.random or self.mode == "erased") and (
            self.token_type in DESCRIBED or self.token_type not in (*PLACES, "rest")
        )


def sets_of(scene: Scene, own: TokenSet, found: Kinds) -> Mapping[str, TokenSet]:
    """Every kind of tokens of an image by name, empty ones too.

    Args:
        scene: the image's objects.
        own: the asked object's tokens.
        found: kinds found in the data.
    """
    places = (~(own - own), own.dilate(1), scene.background, far(scene))
    return dict(zip(PLACES, places, strict=True)) | dict(found.tokens)


def trials(
    recording: Recording,
    sets: Mapping[str, TokenSet],
    object_id: int,
    settings: Settings,
    other: Float[Tensor, "visual width"] | None,
    *,
    erased: Recording | None,
) -> Iterator[Trial]:
    """Every condition that an image's sets allow; equal sets share one.

    Args:
        recording: any clean run on the image.
        sets: of `sets_of`.
        object_id: decides with the settings' seed what is drawn at random.
        settings: the first value that is not another image's stands in tokens' place.
        other: another image's visual tokens, where it has as many.
        erased: a run on the image with the objects' pixels erased, whose attention can be patched.
    """
    everything, value = visual(recording.layout), values_at_hand(settings)[0]
    known: dict[frozenset[int], Condition] = {}

    def ablated(tokens: TokenSet) -> Condition:
        if tokens.positions not in known:
            one = replaced(tokens, value, settings, object_id, "globals")
            known[tokens.positions] = (one,)
        return known[tokens.positions]

    for name, tokens in sets.items():
        count = len(tokens)
        if not count:
            continue
        yield Trial(name, "ablate", False, count, ablated(tokens))
        if count == len(everything):
            continue
        yield Trial(name, "keep", False, count, ablated(everything - tokens))
        seed = _seed(settings, object_id, f"random-{name}")
        drawn = everything.draw(count, seed)
        yield Trial(name, "ablate", True, count, ablated(drawn))
        yield Trial(name, "keep", True, count, ablated(everything - drawn))
        if name in SHUFFLED:
            states = recording.residual(0)[list(tokens)]
            generator = torch.Generator().manual_seed(seed)
            order = torch.randperm(count, generator=generator).to(states.device)
            yield Trial(name, "permute", False, count, (Ablate(tokens, states[order]),))
        if name in SHUFFLED and erased is not None:
            yield Trial(name, "erased", False, count, (read_elsewhere(tokens, erased),))
        if name in SHUFFLED and other is not None:
            places = [place for place, p in enumerate(everything) if p in tokens]
            yield Trial(name, "other image", False, count, (Ablate(tokens, other[places]),))


def read_elsewhere(tokens: TokenSet, other: Recording) -> ReadElsewhere:
    """Text reads some tokens as in another run, in every layer.

    Raises:
        InterventionError: its keys and values can't be had.
    """
    return ReadElsewhere(tokens, capture(other, ["key", "value"], positions=sorted(tokens)))


def _seed(settings: Settings, object_id: int, purpose: str) -> int:
    return int(random_source(settings.seed, object_id, f"globals-{purpose}").integers(2**31))
