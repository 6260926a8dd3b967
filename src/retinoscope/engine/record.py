"""Record one clean run: the model's own forward pass, captured and left as it was."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from retinoscope.engine.recording.agreement import disagreement, once
from retinoscope.engine.recording.captured import CapturedRun, captured_run, reads_ahead
from retinoscope.engine.recording.inputs import GENERATED_TYPES, keeping, with_filler
from retinoscope.engine.recording.recording import Recording, Unreplayable
from retinoscope.engine.recording.replayable import replay_of
from retinoscope.engine.self_check import self_checked
from retinoscope.errors import ModelError
from retinoscope.models import Checkpoint, Encoded


@torch.no_grad()
def record(checkpoint: Checkpoint, encoded: Encoded, *, max_new_tokens: int = 0) -> Recording:
    """Run the model once on a prompt and keep what conditions need.

    The recording is checked before it is returned. On the model's first prompt, and on each that
    is longer than those before it, the captured run must equal a plain one, and a few random
    conditions the plain full forward; on every prompt an empty condition must reproduce the clean
    logits. Where conditions don't pass, or the model can't be replayed at all,
    `Recording.replay` says why, and they are run as full forward passes.

    Args:
        checkpoint: the model.
        encoded: the prompt; made by `encode`, or by hand from model inputs and a layout.
        max_new_tokens: filler positions to record behind the prompt, to generate there later.

    Raises:
        ModelError: the inputs hold more than one prompt; the language model saw another sequence
            than the prompt, so that positions have no meaning; or capturing the run changes it.
    """
    _check_single(encoded, checkpoint)
    run, text_types, alone = _faithful_run(checkpoint, encoded, max_new_tokens)
    recording = Recording(
        checkpoint=checkpoint,
        encoded=encoded,
        stream=run.stream,
        logits=run.row.clone(),
        replay=replay_of(run, encoded, checkpoint, alone),
        max_new_tokens=max_new_tokens,
        text_types=text_types,
    )
    return self_checked(recording)


def _faithful_run(
    checkpoint: Checkpoint, encoded: Encoded, max_new_tokens: int
) -> tuple[CapturedRun, Mapping[str, int], Unreplayable | None]:
    """As `_run_with_filler`, with the logits of a plain run; the filler is given up for them.

    Raises:
        ModelError: capturing the run changes it.
    """
    model, length = checkpoint.model, encoded.layout.length

    def changed(run: CapturedRun, cause: str) -> str | None:
        own = model(**encoded.inputs, **keeping(model, 1), use_cache=False).logits[0, -1]
        error = disagreement(run.row, own)
        if error is None:
            return None
        return f"{cause} changes its logits by {100 * error:.2g} % of their spread"

    alone = None
    if max_new_tokens:
        run, text_types, alone = _run_with_filler(checkpoint, encoded, max_new_tokens)
        disturbed = once(
            checkpoint, "filler", length + max_new_tokens, lambda: changed(run, "text behind it")
        )
        if disturbed is None:
            return run, text_types, alone
        alone = Unreplayable(f"the prompt does not stand by itself: {disturbed}")
    plain = captured_run(checkpoint, encoded.inputs, length, 0)
    reason = once(checkpoint, "capture", length, lambda: changed(plain, "a captured attention"))
    if reason is not None:
        raise ModelError(
            f"{checkpoint.name} can't be captured without changing it: {reason}. Load it with "
            'attn_implementation="sdpa" or "eager"; if it is, its attention can\'t be reached.'
        )
    return plain, {}, alone


def _check_single(encoded: Encoded, checkpoint: Checkpoint) -> None:
    """One prompt at a time: conditions of several are evaluated on a recording of each."""
    ids = encoded.inputs.get("input_ids")
    if ids is None or ids.ndim != 2 or len(ids) != 1:
        given = "no input_ids" if ids is None else f"input_ids of shape {list(ids.shape)}"
        raise ModelError(
            f"A recording is of one prompt, [1, positions]; {checkpoint.name} was given {given}. "
            "Record each prompt of a batch by itself."
        )


def _run_with_filler(
    checkpoint: Checkpoint, encoded: Encoded, max_new_tokens: int
) -> tuple[CapturedRun, Mapping[str, int], Unreplayable | None]:
    """A run whose prompt can't see the filler behind it, its types, and why there is none."""
    length = encoded.layout.length
    for text_types in ({}, GENERATED_TYPES):
        inputs = with_filler(encoded.inputs, length, max_new_tokens, text_types)
        run = captured_run(checkpoint, inputs, length, max_new_tokens)
        if not max_new_tokens or not any(reads_ahead(layer, length) for layer in run.layers):
            return run, text_types, None
        if not GENERATED_TYPES.keys() & encoded.inputs.keys():
            break
    reason = Unreplayable("positions of the prompt read what is generated behind them")
    return captured_run(checkpoint, encoded.inputs, length, 0), {}, reason
