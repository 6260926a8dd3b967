"""The rows of receptive fields: an image's tokens, and what losing chosen ones costs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldRecord:
    """The causal receptive fields of one image's visual tokens.

    Attributes:
        image_id, object_id, class_name: the object in whose image they were measured.
        tokens: visual tokens of the image.
        blocks: parts of the image that were erased one at a time.
        locality: mean over tokens of the share of a token's field that lies on the blocks that
            its own cell touches, 0 to 1; None where tokens have no place.
        chance: the share that these blocks would have if fields were even, 0 to 1; None likewise.
        spread: mean over tokens of the field's entropy as a share of the largest there can be:
            0 sees one block alone, 1 sees all alike.
        outliers: tokens whose norm is over the image's mean + 2 standard deviations.
        object_tokens: tokens chosen by their fields for the object.
        agreement: the share of them that the token map places at the object as well; None where
            tokens have no place.
    """

    image_id: int
    object_id: int
    class_name: str
    tokens: int
    blocks: int
    locality: float | None
    chance: float | None
    spread: float
    outliers: int
    object_tokens: int
    agreement: float | None


@dataclass(frozen=True)
class FieldAblationRecord:
    """One question with tokens ablated that were chosen in one way.

    Attributes:
        image_id, object_id, class_name: the object.
        task, prompt: the question.
        chosen: "clean"; "field" (by causal receptive field), "map" (by the token map: the
            object +1), "random" (as many, outside the field's).
        tokens: how many tokens gave way to the mean token.
        difference, clean_difference: logit of the right token less that of the best wrong one.
        right, clean_right: whether the answer is right.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    prompt: str
    chosen: str
    tokens: int
    difference: float
    clean_difference: float
    right: bool
    clean_right: bool
