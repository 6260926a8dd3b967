"""What each lens reads off an object's patches, and whether its direction moves the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from retinoscope.engine import Recording, look
from retinoscope.errors import SelectionError
from retinoscope.experiments.bench import Bench
from retinoscope.experiments.lens.sheets import covered
from retinoscope.experiments.lenses.fits import Fits, fits
from retinoscope.experiments.lenses.pushes import Push, pushes
from retinoscope.experiments.lenses.records import LensCauseRecord, LensShareRecord
from retinoscope.experiments.next_token import answered
from retinoscope.experiments.selections import object_tokens
from retinoscope.experiments.target import Target, random_source, skip
from retinoscope.lens import StateLens, logit_lens
from retinoscope.results.own_settings import OwnSettings
from retinoscope.results.records import Record
from retinoscope.tasks.describe import QUESTION
from retinoscope.tokens import visual


def measure(bench: Bench[OwnSettings], target: Target) -> list[Record]:
    """The lenses of one object.

    Raises:
        SampleError, SelectionError, TokenMapError: this object can't be measured.
        ModelError, InterventionError: this model can't be.
    """
    known = fits(bench)
    if target.sample.image_id in known.images:
        return [
            skip("lenses", target, "", "its image is one of those that the lenses are fitted on")
        ]
    if target.class_name not in known.words:
        raise SelectionError(f"The tokenizer can't spell {target.class_name!r}.")
    recording = look(bench.checkpoint, target.image, QUESTION)
    fitted = {kind: one.lens(recording) for kind, one in known.lenses.items()}
    lenses: dict[str, StateLens] = {"logit": logit_lens(recording), **fitted}
    positions = sorted(object_tokens(recording.layout, target.mask, bench.settings))
    shares = _shares(bench, target, recording, lenses, known, positions)
    drawn = random_source(bench.settings.seed, target.annotation.object_id, "lenses")
    made = pushes(
        *(recording, positions, lenses, known.words[target.class_name]),
        tokens=sorted({*known.words.values()}),
        seed=int(drawn.integers(2**30)),
    )
    causes, unasked = _causes(bench, target, made)
    return [*shares, *causes, *(skip("lenses", target, *one) for one in unasked)]


def _shares(
    bench: Bench[OwnSettings],
    target: Target,
    recording: Recording,
    lenses: Mapping[str, StateLens],
    known: Fits,
    positions: Sequence[int],
) -> list[LensShareRecord]:
    tokens = sorted({*known.words.values()})
    word = tokens.index(known.words[target.class_name])
    other = _other_class(bench, target, known)
    another = tokens.index(known.words[other]) if other else -1
    behind = _background(bench, target, recording, positions)
    found: list[LensShareRecord] = []
    for name, lens in lenses.items():
        for place in range(recording.layer_count + 1):
            words = lens.words(place)
            if words == ():
                continue
            scores = _scores(lens, recording, [*positions, *behind], place)
            best = scores[:, tokens].argmax(-1)
            here, there = best[: len(positions)], best[len(positions) :]
            top = scores[: len(positions)].argmax(-1)
            found.append(
                LensShareRecord(
                    image_id=target.sample.image_id,
                    object_id=target.annotation.object_id,
                    class_name=target.class_name,
                    lens=name,
                    place=place,
                    patches=len(positions),
                    named=int((here == word).sum()),
                    named_open=int((top == tokens[word]).sum()) if words is None else -1,
                    other_class=other,
                    other=int((here == another).sum()),
                    background=len(behind),
                    background_named=int((there == word).sum()),
                )
            )
    return found


@torch.no_grad()
def _scores(lens: StateLens, recording: Recording, positions: Sequence[int], place: int) -> Tensor:
    return lens.scores(recording.residual(place)[list(positions)], place).cpu()


def _other_class(bench: Bench[OwnSettings], target: Target, known: Fits) -> str:
    """The class of another image's object that this image does not hold; "" where there is none."""
    present = {one.class_name for one in target.sample.annotations}
    absent = [one.class_name for _, one in bench.candidates if one.class_name not in present]
    absent = [name for name in absent if name in known.words]
    drawn = random_source(bench.settings.seed, target.annotation.object_id, "other class")
    return str(drawn.choice(absent)) if absent else ""


def _background(
    bench: Bench[OwnSettings], target: Target, recording: Recording, positions: Sequence[int]
) -> list[int]:
    """Visual tokens that touch no annotated object."""
    left = visual(recording.layout) - object_tokens(recording.layout, target.mask, bench.settings)
    for annotation in target.others:
        touched = covered(target, annotation, recording.layout, bench.settings)
        left = left if touched is None else left - touched
    return sorted(left)


def _causes(
    bench: Bench[OwnSettings], target: Target, made: Sequence[Push]
) -> tuple[list[LensCauseRecord], list[tuple[str, str]]]:
    """The answers to every question that the next token answers, under every push."""
    conditions = [(), *(push.condition for push in made)]
    questions, unasked = answered(bench.checkpoint, target, bench.settings, conditions)
    found: list[LensCauseRecord] = []
    for one in questions:
        found += [
            LensCauseRecord(
                image_id=target.sample.image_id,
                object_id=target.annotation.object_id,
                class_name=target.class_name,
                lens=push.lens,
                place=push.place,
                draw=push.draw,
                task=one.query.task,
                prompt=one.query.question,
                right=one.right[index],
                right_clean=one.right[0],
                difference=one.differences[index],
                difference_clean=one.differences[0],
            )
            for index, push in enumerate(made, start=1)
        ]
    return found, unasked
