"""Probing one image: what the probes find when it is whole, erased, or without some tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from retinoscope.data import Sample, load_image
from retinoscope.engine import Recording, changed_streams
from retinoscope.errors import SampleError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.globals.probes import Probes, labels_of, probes, states_of
from retinoscope.experiments.globals.records import ProbeRecord
from retinoscope.experiments.globals.trials import PLACES, Trial
from retinoscope.experiments.objects import Scene
from retinoscope.experiments.target import Target
from retinoscope.results.own_settings import OwnSettings

NULLS = 4
"""Most other images whose classes and themes stand for chance."""


def probed(
    bench: Bench[OwnSettings],
    target: Target,
    scene: Scene,
    runs: tuple[Recording, Recording | None],
    given: Sequence[Trial],
    others: Sequence[Sample],
) -> tuple[list[ProbeRecord], list[tuple[str, str]]]:
    """What the probes read off one image.

    Args:
        bench: the model, and the candidates that probes are fitted on.
        target: whose image it is.
        scene: its objects.
        runs: the clean run, and that of the image with the objects' pixels erased.
        given: the conditions under which the last position is read too.
        others: other images with as many classes.

    Returns:
        The records, and (condition, reason) of what could not be measured.
    """
    known = probes(bench)
    if target.sample.image_id in known.images:
        return [], [("probe", "its image is one of those that the probes are fitted on")]
    if not known.found:
        return [], [("probe", "there are too few images to fit one on")]
    right = labels_of(target.sample, np.array(target.image))
    chance = [*_labels(others)]
    clean, erased = runs
    found = _read(known, target, ("none", "", False), states_of(clean, scene), right, chance)
    if erased is not None:
        states = states_of(erased, scene)
        found += _read(known, target, ("objects", "pixels", False), states, right, chance)
    trials = [one for one in given if one.token_type in PLACES and one.mode in ("ablate", "keep")]
    last = [clean.length - 1]
    for index, stream in sorted(
        changed_streams(clean, [one.condition for one in trials], last), key=lambda one: one[0]
    ):
        trial = trials[index]
        named = (trial.token_type, trial.mode, trial.random)
        states = {"last position": stream[:, 0].float().cpu()}
        found += _read(known, target, named, states, right, chance)
    missing = [] if right["theme"] else [("probe: theme", "the data don't say the image's theme")]
    return found, missing


def _labels(others: Sequence[Sample]) -> Iterator[Mapping[str, frozenset[str]]]:
    for sample in others[:NULLS]:
        try:
            yield labels_of(sample, np.array(load_image(sample)))
        except SampleError:
            continue  # What can't be read is skipped by name where it is measured itself.


def _read(
    known: Probes,
    target: Target,
    named: tuple[str, str, bool],
    states: Mapping[str, Float[Tensor, "places width"]],
    right: Mapping[str, frozenset[str]],
    chance: Sequence[Mapping[str, frozenset[str]]],
) -> list[ProbeRecord]:
    token_type, mode, random = named
    found = []
    for (asked, place), probe in known.found.items():
        if place not in states or not right[asked]:
            continue
        others = [one[asked] for one in chance if one[asked]]
        for layer, name in enumerate(probe.first(states[place])):
            hits = [name in one for one in others]
            found.append(
                ProbeRecord(
                    image_id=target.sample.image_id,
                    object_id=target.annotation.object_id,
                    asked=asked,
                    read_at=place,
                    token_type=token_type,
                    mode=mode,
                    random=random,
                    layer=layer,
                    right=name in right[asked],
                    null=sum(hits) / len(hits) if hits else None,
                )
            )
    return found
