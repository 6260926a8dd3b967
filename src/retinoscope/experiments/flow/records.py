"""The rows of the flow experiment: sets of tokens, knockouts of attention, and blocks of tokens."""

from __future__ import annotations

from dataclasses import dataclass

SCORES = (
    "raw attention",
    "raw attention of the question too",
    "rollout",
    "ALTI",
    "Chefer",
    "value zeroing",
    "gradient x input",
    "attribution patching",
    "measured alone",
    "object mask",
    "random",
)
"""What orders tokens. "measured alone" is each token's own effect; it and value zeroing are of
probed objects alone."""

CONTROLS = (
    "rollout without sinks",
    "rollout without sinks and text",
    "rollout without residual",
    "rollout, layers shuffled",
)
"""Rollout made otherwise; of these deletion alone is measured."""

GROUPS = ("object", "other objects", "near", "far", "question")
"""Attention to whom is knocked out: near is within a patch of the object, far all other patches."""

QUERIES = ("last position", "question and last")
FORMS = ("renormalised", "weights kept", "direct")


@dataclass(frozen=True)
class FlowRecord:
    """One object, one task, the tokens of the highest scores deleted, or all others.

    The clean run of each object and task is the row with the direction "clean".

    Attributes:
        image_id, object_id, class_name, task, prompt: as in AblationRecord (tasks "poll", "ask").
        score: what orders the tokens, one of SCORES or CONTROLS; "" for the clean run.
        direction: "deletion" (the first `size` tokens are ablated), "insertion" (all others are),
            "clean".
        value: what stands in ablated tokens' place: "mean", "zero", "noise", "resampled"; "" for
            the clean run.
        size: tokens deleted, or kept; 0 for the clean run.
        tokens: visual tokens of the image.
        mass: the share of the score's positive part that lies on the object's tokens; None where
            none is positive, and for the clean run.
        object_share: the object's tokens' share of all visual tokens: the mass of a score that
            knows nothing.
        clean_ld: clean logit of the right token less that of the best wrong one.
        ld: the same two logits' difference in this run.
        right: whether the first choice is right in this run.
        clean_right: whether it is in the clean run; where it isn't, nothing else is measured.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    prompt: str
    score: str
    direction: str
    value: str
    size: int
    tokens: int
    mass: float | None
    object_share: float
    clean_ld: float
    ld: float
    right: bool
    clean_right: bool


@dataclass(frozen=True)
class FlowCutRecord:
    """One object, one task, attention to a group knocked out in one layer.

    Attributes:
        image_id, object_id, class_name, task: as in FlowRecord.
        queries: who must not read, one of QUERIES.
        form: "renormalised" (the other weights grow to add up to 1, as in every knockout) or
            "weights kept" (the group's weights are zeroed and the others left as they were): total
            effects, since all later layers follow; or "direct" (renormalised, and all that is added
            later at the last position is held as on the clean run).
        layer: decoder layer, from 0.
        group: whom they must not read, one of GROUPS.
        keys: positions of the group.
        attention: the share of the queries' attention in this layer that goes to the group, mean
            over heads.
        clean_ld, ld, right: as in FlowRecord.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    queries: str
    form: str
    layer: int
    group: str
    keys: int
    attention: float
    clean_ld: float
    ld: float
    right: bool


@dataclass(frozen=True)
class FlowBlockRecord:
    """One probed object, one task, one block of 2 x 2 visual tokens: its effect and a score of it.

    Attributes:
        image_id, object_id, class_name, task, score: as in FlowRecord.
        row, column: the block's place, from 0 at the top left.
        tokens: visual tokens in it.
        mass: the share of the score's positive part that lies in the block; None where none is.
        on_object: how many of its tokens are the object's.
        clean_ld: as in FlowRecord.
        ld: with the block ablated.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    score: str
    row: int
    column: int
    tokens: int
    mass: float | None
    on_object: int
    clean_ld: float
    ld: float
