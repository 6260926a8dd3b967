"""The rows of the pairs: one question about one object while another's tokens are replaced."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PairRecord:
    """One question about an object, with some set of visual tokens replaced.

    Attributes:
        image_id: the data set's image id.
        object_id: the object of the run whose image it is.
        asked_id, class_name: the object that is asked about.
        other_id, other_class: the other object of the pair; -1 and "" for sets of the asked object
            alone and for the clean run.
        task: "poll", "ask" (what is at its place), "describe" or "count" (of its class).
        prompt: the question.
        set: whose tokens were replaced: "none" (the clean run), "own", "own+1" (with a buffer of
            one patch), "other" (without those that both lie on), "other+1" (without the asked
            object's), "shared" (those that both lie on), "own only" (without those), "background"
            (on no object, matched to "other+1" in number and in distance to the asked object).
        value: what stands in their place: "mean", "zero" or "noise"; "" for the clean run.
        tokens: how many tokens were replaced.
        apart: mean distance of these from the asked object's centre, as a share of the image's
            diagonal; None for the clean run.
        iou: intersection over union of the two whole objects' boxes, 0 to 1; None without another.
        distance: between their centres, as a share of the image's diagonal; None without another.
        front: "asked" or "other", whichever hides a part of the other one; "" for neither.
        objects: annotated objects of the image.
        answer: the answer as text; of numbers, classes, yes and no the first token.
        right: whether it is the clean image's right answer.
        ld: the right token's logit less the best wrong one's of the clean run; None for a
            description.
        predicted: whether it is the answer that taking the other object away predicts (a number
            lower by one); None where none is predicted.
        clean_right, clean_ld: of the clean run.
    """

    image_id: int
    object_id: int
    asked_id: int
    class_name: str
    other_id: int
    other_class: str
    task: str
    prompt: str
    set: str
    value: str
    tokens: int
    apart: float | None
    iou: float | None
    distance: float | None
    front: str
    objects: int
    answer: str
    right: bool
    ld: float | None
    predicted: bool | None
    clean_right: bool
    clean_ld: float | None


@dataclass(frozen=True)
class SwapRecord:
    """One question about an object whose block of tokens was exchanged at one layer.

    Attributes:
        image_id, object_id, asked_id, class_name, other_id, other_class: as in PairRecord.
        task: "ask" (what is at its place), "where" (where it is); "colour_at" and "place_of" are
            questions of the data about one of two things of a class.
        prompt: the question.
        exchanged: with which block: "other" (the other object's), "background", or "deleted": the
            background's block is copied over the object's and stays where it is.
        layer: place of the residual stream, 0 (input of the first layer) to the number of layers.
        rows, columns: patches of a block.
        same_answer: whether the same question about the other object has the same answer, so that
            the exchange should change nothing.
        answer: the first token.
        right: whether the answer stayed what it was.
        became: whether it became the other object's.
        ld: the right token's logit less that of the other object's answer (where the two are the
            same, of the best wrong one).
        clean_ld: of the clean run.
    """

    image_id: int
    object_id: int
    asked_id: int
    class_name: str
    other_id: int
    other_class: str
    task: str
    prompt: str
    exchanged: str
    layer: int
    rows: int
    columns: int
    same_answer: bool
    answer: str
    right: bool
    became: bool
    ld: float
    clean_ld: float
