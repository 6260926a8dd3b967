"""The rows of the lenses: what each reads off an object's patches, and what its direction does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LensShareRecord:
    """One lens over one object's patches at one place.

    Attributes:
        image_id, object_id, class_name: the object.
        lens: "logit", or a kind of fitted lens.
        place: of the residual stream; 0 is the embedding output, n the output of the n-th layer.
        patches: the object's patches.
        named: how many of them have the class as the likeliest of the data's classes.
        named_open: how many have its word as the likeliest of the whole vocabulary; -1 where the
            lens knows the classes alone.
        other_class: a class that this image does not hold, of an object of another image.
        other: how many patches have that one as the likeliest class: what chance gives.
        background: patches that touch no annotated object.
        background_named: how many of those have the object's class as the likeliest.
    """

    image_id: int
    object_id: int
    class_name: str
    lens: str
    place: int
    patches: int
    named: int
    named_open: int
    other_class: str
    other: int
    background: int
    background_named: int


@dataclass(frozen=True)
class LensCauseRecord:
    """An answer with the object's patches pushed against a lens' direction for its word.

    Attributes:
        image_id, object_id, class_name: the object.
        lens: whose direction; "random" is one of the same size.
        place: where the patches are pushed.
        draw: of random directions which one, from 0; else 0.
        task, prompt: what was asked.
        right: whether the most likely next token is a right one.
        right_clean: whether it is on the clean run.
        difference: the right token's logit less the best wrong one's, both chosen on the clean run.
        difference_clean: the same on the clean run.
    """

    image_id: int
    object_id: int
    class_name: str
    lens: str
    place: int
    draw: int
    task: str
    prompt: str
    right: bool
    right_clean: bool
    difference: float
    difference_clean: float
