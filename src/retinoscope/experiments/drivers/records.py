"""The rows of the drivers: what the lens and the answers say under each intervention."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DriverRecord:
    """The logit lens over one object's patches at one place, under one intervention.

    Attributes:
        image_id, object_id, class_name: the object.
        part: "none" (the clean run), "attention", "mlp", "head" or "source" (attention edges that
            are cut).
        layer: the decoder layer, from 0; -1 for all of them.
        head: the query head; -1 where the part is none.
        value: what stands in the place of what the part makes at visual positions: "mean" (its mean
            over the visual tokens of other images), "resampled" (what it makes in another image, at
            the same positions), "frozen" (what it makes where every visual token is as it entered
            the first layer), "noise" (its own and a random vector of the size of what "mean"
            changes); of a source what may no longer be read: "itself", "other patches" (but
            itself), "same object", "not the object", "text"; "" for the clean run.
        region: "image" (all visual positions), "background" (those that are not the object's),
            "object"; "" for the clean run.
        place: of the residual stream; 0 is the embedding output, n the output of the n-th layer.
        patches: the object's patches.
        named: how many of them have the class word's first token as argmax: the total effect, since
            all later layers follow.
        direct: how many if all other sublayers add what they add on the clean run; None where that
            can't be told (sources, heads, and what is replaced beside the object).
    """

    image_id: int
    object_id: int
    class_name: str
    part: str
    layer: int
    head: int
    value: str
    region: str
    place: int
    patches: int
    named: int
    direct: int | None


@dataclass(frozen=True)
class DriverAnswerRecord:
    """An answer about the object under the same intervention.

    Attributes:
        image_id, object_id, class_name, part, layer, head, value, region: as in DriverRecord.
        task, prompt: what was asked.
        right: whether the most likely next token is a right one (the total effect; the direct one
            is none, since answers read the image through later attention).
        right_clean: whether it is on the clean run.
        difference: the right token's logit less the best wrong one's, both chosen on the clean run.
        difference_clean: the same on the clean run.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    prompt: str
    part: str
    layer: int
    head: int
    value: str
    region: str
    right: bool
    right_clean: bool
    difference: float
    difference_clean: float


@dataclass(frozen=True)
class DriverShareRecord:
    """What one part adds to the class word's logit, as a mean over the object's patches.

    Attributes:
        image_id, object_id, class_name: the object.
        read_at: "last" (behind all layers) or "best" (where most of this object's patches name it).
        place: that place of the residual stream.
        part: "embedding", "attention", "mlp", "between", "bias", "head", "headless bias", or
            "logit", which all but the last two before it add up to.
        layer: the decoder layer; -1 where the part has none.
        head: the query head; -1 where the part is none.
        logit: the share, in logits, the vocabulary's mean taken away.
    """

    image_id: int
    object_id: int
    class_name: str
    read_at: str
    place: int
    part: str
    layer: int
    head: int
    logit: float
