"""What sublayers and heads make at visual positions: on a run, and over other images."""

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
from retinoscope.experiments.held import ADDED, Edited
from retinoscope.experiments.once import OnceForRun
from retinoscope.interventions import Site, Write
from retinoscope.results.own_settings import OwnSettings
from retinoscope.tasks.describe import QUESTION

OTHERS = 8
"""Other images over which a mean is taken."""

Outputs = Mapping[Site, Float[Tensor, "visual *state"]]
"""By site what stands there at every visual position, in their order."""


@dataclass(frozen=True)
class Component:
    """One attention, MLP or attention head of the model.

    Attributes:
        part: "attention", "mlp" or "head".
        layer: the decoder layer, from 0.
        site: where what it makes can be written.
        head: the query head; -1 for a whole sublayer.
    """

    part: str
    layer: int
    site: Site
    head: int = -1

    @property
    def added(self) -> bool:
        """Whether what is written is what is added to the residual stream, as it is."""
        return self.site.name in ADDED


@dataclass(frozen=True, eq=False)
class OtherImages:
    """What components make in images of the run.

    Attributes:
        means: by image id its mean over visual positions, at each site.
        whole: of the first two images everything.
    """

    means: Mapping[int, Mapping[Site, Float[Tensor, " *state"]]]
    whole: Mapping[int, Outputs]

    def mean(self, image_id: int) -> Mapping[Site, Float[Tensor, " *state"]]:
        """The mean of at most OTHERS images that are not this one; empty without any."""
        chosen = [means for other, means in self.means.items() if other != image_id][:OTHERS]
        if not chosen:
            return {}
        return {site: torch.stack([one[site] for one in chosen]).mean(0) for site in chosen[0]}

    def another(self, image_id: int) -> Outputs:
        """Everything of an image that is not this one; empty without any."""
        return next((one for other, one in self.whole.items() if other != image_id), {})


def components(recording: Recording) -> tuple[list[Component], list[tuple[str, int]]]:
    """Every attention, MLP and head whose output can be written; (part, layer) of the others."""
    found: list[Component] = []
    missing: list[tuple[str, int]] = []
    for part, names in (("attention", ("attn_out_post", "attn_out")), ("mlp", _MLP)):
        for layer in range(recording.layer_count):
            sites = [Site(name, layer) for name in names if recording.has(Site(name, layer))]
            if sites:
                found.append(Component(part, layer, sites[0]))
            else:
                missing.append((part, layer))
    for layer in range(recording.layer_count):
        site = Site("z", layer)
        if recording.has(site):
            count = recording.state_shape(site)[0]
            found += [Component("head", layer, site, head) for head in range(count)]
        else:
            missing.append(("heads", layer))
    return found, missing


_MLP = ("mlp_out_post", "mlp_out")


def outputs(recording: Recording, chosen: Sequence[Component]) -> Outputs:
    """What components make on the clean run, in one forward pass."""
    return _held(recording, chosen, ())


def frozen_outputs(recording: Recording, chosen: Sequence[Component]) -> Outputs:
    """What each component would make if every visual token were as it entered the first layer.

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


def _held(recording: Recording, chosen: Sequence[Component], condition: tuple) -> Outputs:
    sites = list(dict.fromkeys(one.site for one in chosen))
    visual = recording.layout.visual
    return dict(capture(recording, sites, condition, positions=visual).load())


def _other_images(bench: Bench[OwnSettings]) -> OtherImages:
    means: dict[int, Mapping[Site, Tensor]] = {}
    whole: dict[int, Outputs] = {}
    for image_id, recording in _recordings(bench):
        found = outputs(recording, components(recording)[0])
        means[image_id] = {site: state.mean(0) for site, state in found.items()}
        if len(whole) < 2:
            whole[image_id] = found
        if len(means) > OTHERS:
            break
    return OtherImages(means, whole)


other_images = OnceForRun("drivers-other-images", _other_images)
"""What components make in the first images of a run."""


def _recordings(bench: Bench[OwnSettings]) -> Iterator[tuple[int, Recording]]:
    """The run's images, each once, those left out that can't be read."""
    for sample in {sample.image_id: sample for sample, _ in bench.candidates}.values():
        try:
            yield sample.image_id, look(bench.checkpoint, load_image(sample), QUESTION)
        except (SampleError, TokenMapError):
            continue
