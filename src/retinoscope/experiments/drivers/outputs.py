"""What sublayers add at visual positions: on a run, and over other images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.data import load_image
from retinoscope.engine import Recording, capture, look
from retinoscope.errors import SampleError, TokenMapError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.once import OnceForRun
from retinoscope.interventions import Context, Edits, Site, Write
from retinoscope.results.own_settings import OwnSettings
from retinoscope.tasks.describe import QUESTION

OTHERS = 8
"""Other images over which a mean is taken."""

Outputs = Mapping[Site, Float[Tensor, "visual width"]]
"""By site what a sublayer adds at every visual position, in their order."""


@dataclass(frozen=True)
class Sublayer:
    """One attention or MLP of the model.

    Attributes:
        part: "attention" or "mlp".
        layer: the decoder layer, from 0.
        site: where what it adds can be written.
    """

    part: str
    layer: int
    site: Site


@dataclass(frozen=True, eq=False)
class Edited:
    """Edits as they are, shared by all conditions that hold this one."""

    made: Edits

    def edits(self, context: Context) -> Edits:
        """The edits."""
        return self.made


@dataclass(frozen=True, eq=False)
class OtherImages:
    """What sublayers add in images of the run.

    Attributes:
        means: by image id its mean over visual positions, of each sublayer.
        whole: of the first two images everything.
    """

    means: Mapping[int, Mapping[Site, Float[Tensor, " width"]]]
    whole: Mapping[int, Outputs]

    def mean(self, image_id: int) -> Mapping[Site, Float[Tensor, " width"]]:
        """The mean of at most OTHERS images that are not this one; empty without any."""
        chosen = [means for other, means in self.means.items() if other != image_id][:OTHERS]
        if not chosen:
            return {}
        return {site: torch.stack([one[site] for one in chosen]).mean(0) for site in chosen[0]}

    def another(self, image_id: int) -> Outputs:
        """Everything of an image that is not this one; empty without any."""
        return next((one for other, one in self.whole.items() if other != image_id), {})


def sublayers(recording: Recording) -> tuple[list[Sublayer], list[tuple[str, int]]]:
    """Every attention and MLP whose output can be written, and those that have none to write."""
    found: list[Sublayer] = []
    missing: list[tuple[str, int]] = []
    for part, names in (("attention", ("attn_out_post", "attn_out")), ("mlp", _MLP)):
        for layer in range(recording.layer_count):
            sites = [Site(name, layer) for name in names if recording.has(Site(name, layer))]
            if sites:
                found.append(Sublayer(part, layer, sites[0]))
            else:
                missing.append((part, layer))
    return found, missing


_MLP = ("mlp_out_post", "mlp_out")


def outputs(recording: Recording, chosen: Sequence[Sublayer]) -> Outputs:
    """What sublayers add on the clean run, in one forward pass."""
    return _held(recording, chosen, ())


def frozen_outputs(recording: Recording, chosen: Sequence[Sublayer]) -> Outputs:
    """What each sublayer would add if every visual token were as it entered the first layer.

    One forward pass: each sublayer's input is written at visual positions, so that none reads what
    another did there; what precedes the image is as ever.
    """
    visual = recording.layout.visual
    entered = recording.residual(0)[list(visual)]
    writes = []
    for layer in range(recording.layer_count):
        for name in ("resid_pre", "resid_mid"):
            if recording.has(Site(name, layer)) and (name, layer) != ("resid_pre", 0):
                writes.append(Write(Site(name, layer), visual, entered))
    return _held(recording, chosen, (Edited(tuple(writes)),))


def _held(recording: Recording, chosen: Sequence[Sublayer], condition: tuple) -> Outputs:
    sites = [one.site for one in chosen]
    visual = recording.layout.visual
    return dict(capture(recording, sites, condition, positions=visual).load())


def _other_images(bench: Bench[OwnSettings]) -> OtherImages:
    means: dict[int, Mapping[Site, Tensor]] = {}
    whole: dict[int, Outputs] = {}
    for image_id, recording in _recordings(bench):
        found = outputs(recording, sublayers(recording)[0])
        means[image_id] = {site: state.mean(0) for site, state in found.items()}
        if len(whole) < 2:
            whole[image_id] = found
        if len(means) > OTHERS:
            break
    return OtherImages(means, whole)


other_images = OnceForRun(_other_images)
"""What sublayers add in the first images of a run."""


def _recordings(bench: Bench[OwnSettings]) -> Iterator[tuple[int, Recording]]:
    """The run's images, each once, those left out that can't be read."""
    for sample in {sample.image_id: sample for sample, _ in bench.candidates}.values():
        try:
            yield sample.image_id, look(bench.checkpoint, load_image(sample), QUESTION)
        except (SampleError, TokenMapError):
            continue
