"""The rows of the logit lens: one region of one image at one layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LensRecord:
    """The logit lens over one region of one image at one layer (paper, section 4).

    Attributes:
        image_id, object_id, class_name: the object whose word is looked for.
        region: "object" (patches on the object) or "background" (patches on no object).
        layer: 0 is the embedding output, n the output of the n-th decoder layer.
        patches: number of patches in the region.
        strict: how many of them have the class word's first token as argmax.
        lenient: how many have the first token of any prefix piece, plural or synonym as argmax.
        rank: mean rank of the class word's first token (0 is the top).
        log_probability: mean natural-log probability of that token.
        entropy: mean entropy of the decoded distribution, in nats.
    """

    image_id: int
    object_id: int
    class_name: str
    region: str
    layer: int
    patches: int
    strict: int
    lenient: int
    rank: float
    log_probability: float
    entropy: float
