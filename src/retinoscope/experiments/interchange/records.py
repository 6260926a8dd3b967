"""The rows of the interchange: pairs of images, patched cells, patched paths, and errors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InterchangeItem:
    """One pair of images under one question: what both runs say, and whether it is measured.

    Attributes:
        image_id, object_id, class_name: the object of the clean image.
        task: "poll" or "ask".
        prompt: the question.
        pair: how the corrupt image was made: "exchange" (the scene drawn again with another class
            in the object's place) or "noise" (the object's pixels replaced by noise).
        other: the class that stands in its place; "" for noise.
        right_word, wrong_word: the two tokens whose logits' difference is measured.
        clean_difference: of the clean run; above 0 the right token is ahead.
        corrupt_difference: of the corrupt run.
        clean_right: the clean run's likeliest token is right.
        flips: the corrupt run's difference is below 0.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    prompt: str
    pair: str
    other: str
    right_word: str
    wrong_word: str
    clean_difference: float
    corrupt_difference: float
    clean_right: bool
    flips: bool


@dataclass(frozen=True)
class InterchangeRecord:
    """One cell of one pair's sweep, of those items that are right when clean and flip.

    Attributes:
        image_id, object_id, class_name, task: the item.
        direction: "noising" (clean run, corrupt part) or "denoising" (corrupt run, clean part).
        layer: of the residual stream 0 is the input of the first decoder layer; of a head, its
            decoder layer.
        group: "object", "other objects", "near", "far", "matched", "question" or "last".
        tokens: positions of the group.
        head: query head whose output is patched; -1 for the residual stream.
        clean_difference, corrupt_difference: of the two runs.
        difference: with the cell patched.
        carried: the share of the difference between the runs that the patch moves, from its own
            side: denoising (ld - corrupt) / (clean - corrupt), noising 1 less that.
        attribution, eap_ig, relp: what each approximation says of `carried`; None where it can't
            be had.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    direction: str
    layer: int
    group: str
    tokens: int
    head: int
    clean_difference: float
    corrupt_difference: float
    difference: float
    carried: float
    attribution: float | None
    eap_ig: float | None
    relp: float | None


@dataclass(frozen=True)
class PathRecord:
    """One patched path of one item.

    Attributes:
        image_id, object_id, class_name, task, direction: as in InterchangeRecord.
        route: the groups in the order of reading, such as "object -> question -> last".
        first_layer, last_layer: in which the first step is taken; later steps in all behind.
        difference, carried: as in InterchangeRecord.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    direction: str
    route: str
    first_layer: int
    last_layer: int
    difference: float
    carried: float


@dataclass(frozen=True)
class AgreementRecord:
    """How wrong one approximation is on one item's cells.

    Attributes:
        image_id, object_id, class_name, task, direction: as in InterchangeRecord.
        part: "residual stream" or "heads".
        approximation: "attribution", "eap_ig" or "relp".
        cells: how many were compared.
        rank_correlation, slope, signs, sign_agreement, error: as in
            `retinoscope.patching.Agreement`.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    direction: str
    part: str
    approximation: str
    cells: int
    rank_correlation: float | None
    slope: float | None
    signs: int
    sign_agreement: float | None
    error: float | None
