"""Trials: every intervention on sublayers and heads, as a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.experiments.drivers.outputs import (
    Component,
    OtherImages,
    Outputs,
    frozen_outputs,
    outputs,
)
from retinoscope.experiments.held import Edited
from retinoscope.interventions import Condition, SitePatch
from retinoscope.interventions.ablate import matched_noise
from retinoscope.tokens import TokenSet


@dataclass(frozen=True, eq=False)
class Trial:
    """One intervention, with what DriverRecord says of it; the clean run is the first.

    Attributes:
        part, layer, head, value, region: as in DriverRecord.
        condition: the intervention.
        moved: by layer what it changes of what the layer adds at the object's patches; None where
            that is not known before it is run.
    """

    part: str
    layer: int
    value: str
    region: str
    condition: Condition
    head: int = -1
    moved: Mapping[int, Float[Tensor, "patches width"]] | None = None

    @property
    def asked(self) -> bool:
        """Whether questions are answered under it: controls, and all but a head's mean, are not."""
        if self.part == "head":
            return self.value == "mean"
        alone = self.value in ("noise", "frozen") and self.layer >= 0
        return self.region != "background" and not alone


CLEAN = Trial("none", -1, "", "", (), moved={})


def component_trials(
    recording: Recording,
    tokens: TokenSet,
    chosen: Sequence[Component],
    others: OtherImages,
    image_id: int,
    seed: int,
) -> tuple[list[Trial], list[tuple[str, str]]]:
    """Every sublayer and head alone, and all attentions and all MLPs together.

    Args:
        recording: the clean run.
        tokens: the object's.
        chosen: the components.
        others: what they make in other images.
        image_id: the object's image.
        seed: of the noise.

    Returns:
        The trials; and what can't be had, with the reason.
    """
    clean = outputs(recording, chosen)
    values, missing = _values(recording, chosen, clean, others, image_id, seed)
    visual = recording.layout.visual
    own = [visual.index(position) for position in sorted(tokens)]
    behind = tuple(position for position in visual if position not in tokens)
    found: list[Trial] = []
    for value, states in values.items():
        edits = {one: _put(one, recording, visual, states) for one in chosen if one.site in states}
        moved = {
            one: {one.layer: states[one.site][own] - clean[one.site][own]}
            for one in edits
            if one.added
        }
        for one, edit in edits.items():
            alone = (edit,)
            found.append(
                Trial(one.part, one.layer, value, "image", alone, one.head, moved.get(one))
            )
        if value == "noise":
            continue
        for part in ("attention", "mlp"):
            every = [one for one in edits if one.part == part]
            changes = {layer: at for one in every for layer, at in moved.get(one, {}).items()}
            together = tuple(edits[one] for one in every)
            known = changes if len(changes) == len(every) else None
            found.append(Trial(part, -1, value, "image", together, moved=known))
    if "mean" in values and behind:
        for one in chosen:
            if one.part != "head":
                edit = _put(one, recording, behind, values["mean"])
                found.append(Trial(one.part, one.layer, "mean", "background", (edit,)))
    return found, missing


def _put(one: Component, recording: Recording, positions: Sequence[int], states: Outputs) -> Edited:
    """A component's states at some visual positions, carried out once for all who hold it."""
    visual = recording.layout.visual
    index = [visual.index(position) for position in positions]
    heads = None if one.head < 0 else one.head
    return Edited(SitePatch(positions, one.site, states[one.site][index], heads).edits(recording))


def _values(
    recording: Recording,
    chosen: Sequence[Component],
    clean: Outputs,
    others: OtherImages,
    image_id: int,
    seed: int,
) -> tuple[dict[str, Outputs], list[tuple[str, str]]]:
    """By the kind of value what stands in each component's place."""
    found: dict[str, Outputs] = {"frozen": frozen_outputs(recording, chosen)}
    missing: list[tuple[str, str]] = []
    mean = others.mean(image_id)
    if mean:
        found["mean"] = {site: mean[site].expand_as(state) for site, state in clean.items()}
        found["noise"] = {
            site: state + matched_noise(found["mean"][site] - state, seed + index)
            for index, (site, state) in enumerate(clean.items())
            if site.name != "z"
        }
    else:
        missing.append(("mean", "there is no other image to take it over"))
    another = others.another(image_id)
    if another and next(iter(another.values())).shape == next(iter(clean.values())).shape:
        found["resampled"] = another
    elif another:
        missing.append(("resampled", "the other image has another number of visual tokens"))
    else:
        missing.append(("resampled", "there is no other image to take"))
    return found, missing
