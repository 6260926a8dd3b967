"""The rows of the global features: answers, what the background decodes to, kinds of tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GlobalRecord:
    """One question about an object, with a kind of visual tokens taken away, or alone left.

    Attributes:
        image_id, object_id, class_name: the object.
        task: "poll", "poll-absent", "ask" (what is at its place), "where", "count", "describe" or
            "theme" (which of the data's themes the image has).
        prompt: the question.
        token_type: whose tokens: "none" (the clean run), "all", "object+1", "background" (on no
            object), "far background" (2 or more patches from any object), or a kind found in the
            data: "norm outliers", "norm outliers (MAD)", "norm outliers (3 x median)",
            "attention sinks", "massive states", "dead", "rest" (none of these kinds).
        mode: "ablate" (they are replaced), "keep" (all others are), "erased" (text behind the
            image reads them as where the objects' pixels are erased, in every layer), "permute"
            (they change places among themselves), "other image" (they give way to another image's
            tokens of the same places); "" for the clean run.
        random: whether as many visual tokens at random stand for the kind.
        tokens: how many tokens the kind has in this image.
        visual: visual tokens of the image.
        answer: the answer; of a task that one token answers, that token.
        right: whether it is right.
        ld: the right token's logit less the best wrong one's of the clean run; None for a text.
        clean_right, clean_ld: of the clean run.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    prompt: str
    token_type: str
    mode: str
    random: bool
    tokens: int
    visual: int
    answer: str
    right: bool
    ld: float | None
    clean_right: bool
    clean_ld: float | None


@dataclass(frozen=True)
class ReadRecord:
    """What the patches of a region decode to in one layer, by the logit lens' first word.

    Attributes:
        image_id, object_id: the object whose image it is.
        state: "clean"; "tokens" (all objects' tokens, +1, replaced); "pixels" (the objects' boxes
            painted in the background's mean colour).
        region: "far background" (2 or more patches from any object) or "object".
        layer: place of the residual stream, 0 to the number of layers.
        patches: how many.
        present: share that decodes to the word of a class in the image, 0 to 1.
        present_null: the same for the classes of other images with as many classes, on average;
            None where there is no other image.
        absent: share that decodes to a class of the data that the image does not hold.
        number: share that decodes to the number of the image's objects.
        number_null: to that of the other images, on average; None where there is none.
        wrong_number: to any other number of 0 to 5.
        scene: to a word of scenes ("sky", "grass", ...).
    """

    image_id: int
    object_id: int
    state: str
    region: str
    layer: int
    patches: int
    present: float
    present_null: float | None
    absent: float
    number: float
    number_null: float | None
    wrong_number: float
    scene: float


@dataclass(frozen=True)
class TypeRecord:
    """How many visual tokens of one image are of a kind, and where.

    Attributes:
        image_id, object_id: the object whose image it is.
        token_type: as in GlobalRecord.
        tokens: how many.
        visual: visual tokens of the image.
        on_objects: how many lie on an object.
        far: how many lie 2 or more patches from any object.
        norm: their mean norm at the input of the first layer, as a multiple of the median of the
            image's visual tokens; None where there is none.
        attention: mean attention that each receives from the text behind the image, over layers
            and heads, as a multiple of the median; None where there is none or it can't be read.
    """

    image_id: int
    object_id: int
    token_type: str
    tokens: int
    visual: int
    on_objects: int
    far: int
    norm: float | None
    attention: float | None


@dataclass(frozen=True)
class ProbeRecord:
    """What a linear probe of the whole image puts first, read off one state.

    Attributes:
        image_id, object_id: the object whose image it is.
        asked: "class" (is it one of the image's?) or "theme" (is it the image's?).
        read_at: "far background" (the mean state of patches 2 or more from any object) or "last
            position" of the prompt.
        token_type, mode, random: as in GlobalRecord, for the places of tokens; "objects" and
            "pixels" where the objects' boxes are painted in the background's mean colour.
        layer: place of the residual stream, 0 to the number of layers.
        right: whether what it puts first is right.
        null: share of other images with as many classes of which it would be right; None where
            there is none.
    """

    image_id: int
    object_id: int
    asked: str
    read_at: str
    token_type: str
    mode: str
    random: bool
    layer: int
    right: bool
    null: float | None
