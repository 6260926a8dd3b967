"""The rows of the knockouts: one object, one task, one knockout."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnockoutRecord:
    """One object, one task, attention from a target to a group knocked out in a window of layers.

    The clean run of each object and task is the row with window "none".

    Attributes:
        image_id, object_id, class_name, task, prompt: as in AblationRecord (tasks "poll", "ask").
        group: the keys: "object", "object+1", "object+2", "all but object+1",
            "all but last row"; "" for the clean run.
        target: the queries: "last position", "last row" (of visual tokens); "" for the clean run.
        window: "early", "early-mid", "mid", "mid-late", "late", "all", "none"; of the sweeps,
            "layer 3" (that layer alone) and "layer 3 head 5" (one head of it).
        first_layer, last_layer: the window's layers, inclusive; -1 for the clean run.
        keys: how many key positions are knocked out.
        edges: how many (query, key) pairs are knocked out in each layer of the window.
        answer, right, probability, margin, right_original, top_probability: as in AblationRecord.
        head: the one query head that is knocked out; -1 where all are, and for the clean run.
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    prompt: str
    group: str
    target: str
    window: str
    first_layer: int
    last_layer: int
    keys: int
    edges: int
    answer: str
    right: bool
    probability: float | None
    margin: float | None
    right_original: bool | None = None
    top_probability: float | None = None
    head: int = -1
