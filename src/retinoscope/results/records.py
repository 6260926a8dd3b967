"""The rows that experiments write, one frozen dataclass for each table.

A record is one measured fact about one object (or image) under one condition.
Nothing here is aggregated; the tables and figures of a report are made from
these rows alone. Every field is a plain number, string or None, so that a list
of records is a data frame.
"""

from __future__ import annotations

from dataclasses import dataclass

TASKS = ("describe", "poll", "ask")
"""Task names in the order of the paper's tables."""

EXPERIMENTS = ("ablation", "lens", "knockout")
"""The paper's experiments, in its order."""


@dataclass(frozen=True)
class CurationRecord:
    """Whether one object passed curation (paper, section 3.1) and, if not, why.

    Attributes:
        image_id: the data set's image id.
        object_id: the data set's annotation id.
        class_name: the category's name.
        named_whole: the description of the whole image names the object.
        named_noised: a description with the object's pixels replaced by noise names it.
        kept: named_whole and not named_noised.
        area: the object's area in pixels of the original image.
        object_tokens: visual tokens on the object (no buffer).
        answer_whole: the description of the whole image; " …" at its end as in AblationRecord.
        answer_noised: the description of the noised image ("" when it was not asked).
    """

    image_id: int
    object_id: int
    class_name: str
    named_whole: bool
    named_noised: bool
    kept: bool
    area: float
    object_tokens: int
    answer_whole: str
    answer_noised: str


@dataclass(frozen=True)
class AblationRecord:
    """One object, one task, one ablated token set, one replacement value.

    The clean run of each object and task is the row with selection "none".

    Attributes:
        image_id, object_id, class_name: the object.
        task: "describe", "poll", "ask" (see TASKS), or "poll-absent", the "no" control in which
            the question names an object that the image does not hold.
        prompt: the question, as the user would write it.
        selection: which tokens: "none", "object", "object+1", "object+2", "register", "random",
            "gradients".
        matched: for "random" and "gradients": the selection whose size in this image this set
            has ("object", "object+1", "object+2"), drawn outside it for "random"; else "".
        size: for "random" and "gradients" that are not matched: the n asked for (5, 10, ...);
            else 0.
        value: what stands in the tokens' place: "mean", "zero", "noise", "resampled"; "" for
            selection "none".
        tokens: how many tokens were replaced; 0 for "register" where the image has none, which
            is then a clean run.
        answer: the model's answer. For describe the description, with " …" behind it where it was
            cut: its verdict was fixed, or it had the most tokens. For the others the first token
            (of ask: after the answer's prefix).
        right: the answer is right.
        probability: the probability of the right token at the answer position (poll: of the
            right one of yes and no; ask: of the right word's first token; describe: of the
            object's word at the place where the clean caption names it), 0 to 1; None where it
            can't be had.
        margin: difference of the first two logits at the answer position; None as above.
        right_original: whether the original code's test takes the answer as right (see
            `Protocol.substring_match` and `prefix_match`); None where it has none: the control.
        top_probability: the probability of whichever token came first at the answer position, 0
            to 1; None as above.
        indices: which visual tokens were replaced, as runs ("3-5,9": `results.token_indices` reads
            it), counted from 0 in the order of the sequence, in which cells stand in their grid's
            order too; the number of visual tokens itself is the text token behind them (see
            `Protocol.gradient_span_over`).
    """

    image_id: int
    object_id: int
    class_name: str
    task: str
    prompt: str
    selection: str
    matched: str
    size: int
    value: str
    tokens: int
    answer: str
    right: bool
    probability: float | None
    margin: float | None
    right_original: bool | None = None
    top_probability: float | None = None
    indices: str = ""


@dataclass(frozen=True)
class KnockoutRecord:
    """One object, one task, attention from a target to a group forbidden in a window of layers.

    The clean run of each object and task is the row with window "none".

    Attributes:
        image_id, object_id, class_name, task, prompt: as in AblationRecord (tasks "poll", "ask").
        group: the keys: "object", "object+1", "object+2", "all but object+1",
            "all but last row"; "" for the clean run.
        target: the queries: "last position", "last row" (of visual tokens); "" for the clean run.
        window: "early", "early-mid", "mid", "mid-late", "late", "all", "none"; of the sweeps,
            "layer 3" (that layer alone) and "layer 3 head 5" (one head of it).
        first_layer, last_layer: the window's layers, inclusive; -1 for the clean run.
        keys: how many key positions are blocked.
        edges: how many (query, key) pairs are blocked in each layer of the window.
        answer, right, probability, margin, right_original, top_probability: as in AblationRecord.
        head: the one query head that is blocked; -1 where all are, and for the clean run.
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


@dataclass(frozen=True)
class SkippedRecord:
    """One sample or condition that was not measured, and why.

    Attributes:
        experiment: where it was skipped ("data", "mean visual token", "curation", ...).
        image_id, object_id: the sample; object_id is -1 for a whole image, image_id too for a
            file that is no sample of the data.
        condition: the condition, or "" for the whole sample.
        reason: one sentence.
    """

    experiment: str
    image_id: int
    object_id: int
    condition: str
    reason: str


Record = CurationRecord | AblationRecord | KnockoutRecord | LensRecord | SkippedRecord

TABLES: dict[str, type[Record]] = {
    "curation": CurationRecord,
    "ablation": AblationRecord,
    "knockout": KnockoutRecord,
    "lens": LensRecord,
    "skipped": SkippedRecord,
}
"""Table name -> record type; a table is stored as records/<name>.parquet."""
