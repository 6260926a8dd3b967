"""The rows of the ablation: one object, one task, one replaced set of tokens."""

from __future__ import annotations

from dataclasses import dataclass


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
