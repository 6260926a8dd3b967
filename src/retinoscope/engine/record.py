"""Record one clean run: the model's own forward pass, captured and left as it was."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from retinoscope.engine.recording.agreement import disagreement, once
from retinoscope.engine.recording.captured import (
    Capture,
    CapturedLayer,
    reads_ahead,
    recorded_masks,
)
from retinoscope.engine.recording.inputs import GENERATED_TYPES, keeping, with_filler
from retinoscope.engine.recording.mixing import with_context
from retinoscope.engine.recording.recording import LayerCall, Mixing, Recording
from retinoscope.engine.recording.vocabulary import (
    TokenInput,
    infer_logit_transform,
    infer_token_input,
    unchanged,
)
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
    `Recording.fallback` says why, and they are run as full forward passes.

    Args:
        checkpoint: the model.
        encoded: the prompt; made by `encode`, or by hand from model inputs and a layout.
        max_new_tokens: filler positions to record behind the prompt, to generate there later.

    Raises:
        ModelError: the inputs hold more than one prompt; the language model saw another sequence
            than the prompt, so that positions have no meaning; or capturing the run changes it.
    """
    _check_single(encoded, checkpoint)
    length = encoded.layout.length
    run, text_types, behind = _faithful_run(checkpoint, encoded, max_new_tokens)
    reason = _unreplayable(run, checkpoint)
    transform = infer_logit_transform(run.head_row, run.row, checkpoint) if not reason else None
    if not reason and transform is None:
        reason = "what the model does to its logits is neither a scale nor a soft-cap"
    recording = Recording(
        checkpoint=checkpoint,
        encoded=encoded,
        length=length,
        stream=run.stream(length),
        additions=_additions(run.layers, length) if not reason else {},
        calls=_calls(run) if not reason else (),
        norm=run.captured.norms[0] if not reason else None,
        logit_transform=transform or unchanged,
        logits=run.row.clone(),
        max_new_tokens=max_new_tokens,
        token_input=_token_input(run, encoded, checkpoint) if not reason else None,
        fallback=reason,
        generation_fallback=behind,
        text_types=text_types,
    )
    return self_checked(recording if reason else with_context(recording))


def _faithful_run(
    checkpoint: Checkpoint, encoded: Encoded, max_new_tokens: int
) -> tuple[_Run, Mapping[str, int], str | None]:
    """As `_run_with_filler`, with the logits of a plain run; the filler is given up for them.

    Raises:
        ModelError: capturing the model's run changes it.
    """
    model, length = checkpoint.model, encoded.layout.length

    def changed(run: _Run, cause: str) -> str | None:
        own = model(**encoded.inputs, **keeping(model, 1), use_cache=False).logits[0, -1]
        error = disagreement(run.row, own)
        if error is None:
            return None
        return f"{cause} changes its logits by {100 * error:.2g} % of their spread"

    behind = None
    if max_new_tokens:
        run, text_types, behind = _run_with_filler(checkpoint, encoded, max_new_tokens)
        disturbed = once(
            model, "filler", length + max_new_tokens, lambda: changed(run, "text behind it")
        )
        if disturbed is None:
            return run, text_types, behind
        behind = f"the prompt does not stand by itself: {disturbed}"
    alone = _run(checkpoint, encoded.inputs, length, 0)
    reason = once(model, "capture", length, lambda: changed(alone, "a captured attention"))
    if reason is not None:
        raise ModelError(
            f"{checkpoint.name} can't be captured without changing it: {reason}. Load it with "
            'attn_implementation="sdpa" or "eager"; if it is, its attention can\'t be reached.'
        )
    return alone, {}, behind


def _check_single(encoded: Encoded, checkpoint: Checkpoint) -> None:
    """One prompt at a time: conditions of several are evaluated on a recording of each."""
    ids = encoded.inputs.get("input_ids")
    if ids is None or ids.ndim != 2 or len(ids) != 1:
        given = "no input_ids" if ids is None else f"input_ids of shape {list(ids.shape)}"
        raise ModelError(
            f"A recording is of one prompt, [1, positions]; {checkpoint.name} was given {given}. "
            "Record each prompt of a batch by itself."
        )


class _Run:
    """One captured forward pass."""

    def __init__(
        self, captured: Capture, inputs: Mapping[str, Tensor], logits: Tensor, max_new_tokens: int
    ) -> None:
        self.captured = captured
        self.inputs = inputs
        self.logits = logits
        self.layers = [captured.layers[index] for index in sorted(captured.layers)]
        self._last = -1 if "decoder_input_ids" in inputs else -1 - max_new_tokens

    @property
    def row(self) -> Tensor:
        """The logits that predict the first token of the answer."""
        return self.logits[0, self._last]

    @property
    def head_row(self) -> Tensor:
        """The unembedding's output at the same position."""
        assert self.captured.head_output is not None
        return self.captured.head_output[0, self._last]

    def stream(self, length: int) -> tuple[Tensor, ...]:
        """The residual stream at every place; the first of several streams."""
        last = self.layers[-1].output
        assert last is not None
        states = [*(layer.input for layer in self.layers), last]
        return tuple(h.reshape(-1, *h.shape[-2:])[0, :length] for h in states)


def _run_with_filler(
    checkpoint: Checkpoint, encoded: Encoded, max_new_tokens: int
) -> tuple[_Run, Mapping[str, int], str | None]:
    """A run whose prompt can't see the filler behind it, its types, and why there is none."""
    length = encoded.layout.length
    for text_types in ({}, GENERATED_TYPES):
        inputs = with_filler(encoded.inputs, length, max_new_tokens, text_types)
        run = _run(checkpoint, inputs, length, max_new_tokens)
        if not max_new_tokens or not any(reads_ahead(layer, length) for layer in run.layers):
            return run, text_types, None
        if not GENERATED_TYPES.keys() & encoded.inputs.keys():
            break
    reason = "positions of the prompt read what is generated behind them"
    return _run(checkpoint, encoded.inputs, length, 0), {}, reason


def _run(
    checkpoint: Checkpoint, inputs: Mapping[str, Tensor], length: int, max_new_tokens: int
) -> _Run:
    captured = Capture(checkpoint.parts)
    asked = keeping(checkpoint.model, 1 if "decoder_input_ids" in inputs else 1 + max_new_tokens)
    with captured:
        logits = checkpoint.model(**inputs, **asked, use_cache=False).logits
    if not captured.layers:
        raise ModelError(f"{checkpoint.name} ran without entering its decoder layers.")
    total = length + max_new_tokens
    for index, layer in sorted(captured.layers.items()):
        shape = tuple(layer.input.shape)
        count = shape[-2]
        if count != total and total in shape[:-2]:
            raise ModelError(
                f"{checkpoint.name} keeps {count} residual streams at every position (its hidden "
                f"states have the shape {shape}); only models with one can be looked into."
            )
        if count != total:
            raise ModelError(
                f"Decoder layer {index} of {checkpoint.name} saw {count} positions, the prompt "
                f"has {total}; its sequence is not the processor's."
            )
    return _Run(captured, inputs, logits, max_new_tokens)


def _unreplayable(run: _Run, checkpoint: Checkpoint) -> str | None:
    """Why conditions can't be replayed on this model, as far as one run shows it."""
    if getattr(checkpoint.model.config, "is_encoder_decoder", False):
        return "an encoder-decoder model: its answer does not come from the layers of the prompt"
    if len(run.layers) != checkpoint.layer_count:
        return f"only {len(run.layers)} of {checkpoint.layer_count} decoder layers ran"
    for index, layer in enumerate(run.layers):
        if layer.input.ndim != 3:
            return (
                f"the hidden states have {layer.input.ndim} dimensions instead of batch, "
                "position and width"
            )
        if len(layer.attention) > 1:
            return f"decoder layer {index} attends {len(layer.attention)} times"
        if layer.attention and layer.attention[0].own_mask:
            return (
                f"decoder layer {index} makes a mask of its own, so that what a position reads "
                "depends on the states that a condition changes"
            )
    width, wide = run.layers[0].input.shape[-1], _embedding_width(checkpoint)
    if width != wide:
        return (
            f"the first decoder layer reads {width} numbers at a position and the token embedding "
            f"has {wide}"
        )
    if not run.captured.norms:
        return "the final norm, the module that receives the last layer's output, was not found"
    if run.captured.head_output is None or run.captured.head_output.shape != run.logits.shape:
        return "the logits don't come from the unembedding position by position"
    return None


def _embedding_width(checkpoint: Checkpoint) -> int:
    """How many numbers the embedding of one token has."""
    embedding = checkpoint.parts.embedding
    token = torch.zeros(1, dtype=torch.long, device=checkpoint.device)
    return embedding(token).shape[-1]


def _calls(run: _Run) -> tuple[LayerCall, ...]:
    """How every layer was called and what it attended to."""
    first: dict[int, int] = {}
    for index, layer in enumerate(run.layers):
        for one in layer.attention:
            first.setdefault(id(one.keys), index)
    return tuple(
        _call(layer, mask, index, first)
        for index, (layer, mask) in enumerate(
            zip(run.layers, recorded_masks(run.layers), strict=True)
        )
    )


def _call(seen: CapturedLayer, mask: Tensor, index: int, first: Mapping[int, int]) -> LayerCall:
    if not seen.attention:
        return LayerCall(seen.args, seen.options, mask, "left context")
    attended = seen.attention[0]
    mixing: Mixing = "cross-attention" if attended.crossing else "attention"
    owner = first[id(attended.keys)]
    return LayerCall(
        seen.args,
        seen.options,
        mask,
        mixing,
        attended.keys,
        attended.values,
        owner=None if owner == index or attended.crossing else owner,
    )


def _additions(seen: list[CapturedLayer], length: int) -> dict[int, Tensor]:
    """What the model adds to the stream between two layers (DeepStack), by the later one."""
    found: dict[int, Tensor] = {}
    for place in range(1, len(seen)):
        before, after = seen[place - 1].output, seen[place].input
        assert before is not None
        if after is not before and not torch.equal(after, before.to(after.device)):
            found[place] = (after - before.to(after.device))[0, :length]
    return found


def _token_input(run: _Run, encoded: Encoded, checkpoint: Checkpoint) -> TokenInput:
    ids = run.inputs["input_ids"][0]
    text = [*encoded.layout.text, *range(encoded.layout.length, len(ids))]
    inputs = run.layers[0].input[0]
    return infer_token_input(checkpoint.parts.embedding, ids.to(inputs.device), text, inputs)
