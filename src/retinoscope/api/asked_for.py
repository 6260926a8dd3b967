"""An object that a model is asked for: how its answer leans, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from PIL import Image

from retinoscope.api.polling import yes
from retinoscope.api.regions import Region, positions_code, regions
from retinoscope.interventions import Ablate
from retinoscope.tasks import check_spelled, poll
from retinoscope.tokens import TokenSet

if TYPE_CHECKING:
    from retinoscope.api.lens import Lens
    from retinoscope.api.view import View
    from retinoscope.api.vlm import VLM


@dataclass(frozen=True, eq=False)
class AskedFor:
    """One object, and what is measured of it when it is needed.

    Attributes:
        name: the object.
        view: the question about it.
        blocks: the image's regions.
    """

    name: str
    view: View
    blocks: list[Region]

    @staticmethod
    def of(vlm: VLM, image: Image.Image | str | Path, name: str) -> AskedFor:
        """Ask about an object."""
        tokenizer = vlm.checkpoint.tokenizer
        check_spelled(tokenizer, name)
        view = vlm.look(image, poll(name, tokenizer).question, max_new_tokens=10)
        return AskedFor(name, view, regions(view))

    @property
    def question(self) -> str:
        """What was asked."""
        return poll(self.name, self.view.recording.checkpoint.tokenizer).question

    @property
    def value(self) -> str:
        """What stands in for removed tokens."""
        return "zero" if self.view.recording.checkpoint.mean is None else "mean"

    def removed(self, tokens: TokenSet) -> Ablate:
        """The tokens without what they say."""
        return Ablate(tokens, "zero" if self.value == "zero" else "mean")

    def code(self, intervention: str) -> str:
        """The line that gives an intervention's change of the log-odds."""
        return f"rs.yes(view, [(), {intervention}]).change[1]"

    def removal_code(self, tokens: TokenSet) -> str:
        """The line that gives a removal's change of the log-odds."""
        value = ", 'zero'" if self.value == "zero" else ""
        return self.code(f"rs.Ablate({positions_code(tokens)}{value})")

    @cached_property
    def clean(self) -> float:
        """Log-odds of yes on the whole image."""
        return float(yes(self.view).log_odds[0])

    @cached_property
    def sign(self) -> int:
        """1 where the answer is yes, else -1."""
        return 1 if self.clean > 0 else -1

    @cached_property
    def whole(self) -> float:
        """The change where every visual token is removed."""
        return float(yes(self.view, self.removed(self.view.tokens.visual)).log_odds[0]) - self.clean

    @cached_property
    def effects(self) -> list[float]:
        """The change where each region is removed."""
        found = yes(self.view, [(self.removed(block.tokens),) for block in self.blocks])
        return (found.log_odds - self.clean).tolist()

    @cached_property
    def ranked(self) -> list[int]:
        """The regions by how much each supports the answer, strongest first."""
        return sorted(range(len(self.blocks)), key=lambda k: self.sign * self.effects[k])

    @cached_property
    def strongest(self) -> Region:
        """The region without which the answer loses most."""
        return self.blocks[self.ranked[0]]

    @cached_property
    def lens(self) -> Lens:
        """What the patches decode to, with the object's word followed."""
        return self.view.lens(None, k=1, track=self.name)

    @cached_property
    def decoded(self) -> tuple[int, int, float, int]:
        """Where the word is likeliest: layer, position, probability; and the patches it tops."""
        best = self.lens.tracked().sort("probability", descending=True).row(0, named=True)
        tops = self.lens.tracked().filter(pl.col("rank") == 0).group_by("layer").len()
        most = max(tops["len"].to_list(), default=0)
        return best["layer"], best["position"], best["probability"], most


def measures(one: AskedFor) -> dict[str, float]:
    """What is compared between two objects, by name."""
    effect = one.effects[one.ranked[0]]
    _, _, probability, tops = one.decoded
    return {
        "log-odds of yes": one.clean,
        "log-odds without the image": one.clean + one.whole,
        "strongest region removed": effect,
        "share of the image's effect in it": effect / one.whole if one.whole else 0.0,
        "highest lens probability of the word": probability,
        "patches that decode to the word": float(tops),
    }
