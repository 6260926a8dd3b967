"""From a captured run to what conditions are replayed with, or why they can't be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from retinoscope.engine.recording.captured import (
    CapturedAttention,
    CapturedLayer,
    CapturedRun,
    recorded_masks,
)
from retinoscope.engine.recording.layer import (
    CrossAttention,
    LeftContext,
    Mixing,
    RecordedLayer,
    SelfAttention,
    reach_back,
)
from retinoscope.engine.recording.recording import Replay, Unreplayable
from retinoscope.engine.recording.vocabulary import (
    TokenInput,
    infer_logit_transform,
    infer_token_input,
)
from retinoscope.models import Checkpoint, Encoded


def replay_of(
    run: CapturedRun, encoded: Encoded, checkpoint: Checkpoint, alone: Unreplayable | None
) -> Replay | Unreplayable:
    """What conditions are replayed with, or why they can't be, as far as one run shows it.

    Args:
        run: of the prompt, and of the filler behind it.
        encoded: the prompt.
        checkpoint: the model.
        alone: why the prompt was run without filler, so that generation can't be replayed; None
            where it was not asked for, or is there.
    """
    reason = _unreplayable(run, checkpoint)
    if reason is not None:
        return Unreplayable(reason)
    transform = infer_logit_transform(run.head_row, run.row, checkpoint)
    if transform is None:
        return Unreplayable("what the model does to its logits is neither a scale nor a soft-cap")
    layers: list[RecordedLayer] = []
    for index, found in enumerate(_layers(run, checkpoint)):
        if isinstance(found, Unreplayable):
            return Unreplayable(f"decoder layer {index} {found.reason}")
        layers.append(found)
    return Replay(
        layers=tuple(layers),
        additions=_additions(run.layers, encoded.layout.length),
        norm=run.norms[0],
        logit_transform=transform,
        generation=alone or _token_input(run, encoded, checkpoint),
    )


def _unreplayable(run: CapturedRun, checkpoint: Checkpoint) -> str | None:
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
    if not run.norms:
        return "the final norm, the module that receives the last layer's output, was not found"
    if run.head_output is None or run.head_output.shape != run.logits.shape:
        return "the logits don't come from the unembedding position by position"
    return None


def _embedding_width(checkpoint: Checkpoint) -> int:
    """How many numbers the embedding of one token has."""
    embedding = checkpoint.parts.embedding
    token = torch.zeros(1, dtype=torch.long, device=checkpoint.device)
    return embedding(token).shape[-1]


def _layers(run: CapturedRun, checkpoint: Checkpoint) -> Iterator[RecordedLayer | Unreplayable]:
    """How every layer was called and what it attended to."""
    first: dict[int, int] = {}
    for index, layer in enumerate(run.layers):
        for one in layer.attention:
            first.setdefault(id(one.keys), index)
    for index, (layer, mask) in enumerate(zip(run.layers, recorded_masks(run.layers), strict=True)):
        module = checkpoint.parts.layers[index]
        if layer.attention:
            mixing = _attention(layer.attention[0], index, first)
            yield RecordedLayer(module, layer.args, layer.options, mask, mixing)
        else:
            unmeasured = RecordedLayer(module, layer.args, layer.options, mask, LeftContext(0))
            reach = reach_back(unmeasured, layer.input[0, : run.length])
            yield (
                Unreplayable("mixes positions in a way that is not causal")
                if reach is None
                else replace(unmeasured, mixing=LeftContext(reach))
            )


def _attention(attention: CapturedAttention, index: int, first: Mapping[int, int]) -> Mixing:
    if attention.crossing:
        return CrossAttention()
    owner = first[id(attention.keys)]
    return SelfAttention(attention.keys, attention.values, None if owner == index else owner)


def _additions(layers: Sequence[CapturedLayer], length: int) -> dict[int, Tensor]:
    """What the model adds to the stream between two layers (DeepStack), by the later one."""
    found: dict[int, Tensor] = {}
    for place in range(1, len(layers)):
        before, after = layers[place - 1].output, layers[place].input
        assert before is not None
        if after is not before and not torch.equal(after, before.to(after.device)):
            found[place] = (after - before.to(after.device))[0, :length]
    return found


def _token_input(run: CapturedRun, encoded: Encoded, checkpoint: Checkpoint) -> TokenInput:
    ids = run.inputs["input_ids"][0]
    text = [*encoded.layout.text, *range(encoded.layout.length, len(ids))]
    inputs = run.layers[0].input[0]
    return infer_token_input(checkpoint.parts.embedding, ids.to(inputs.device), text, inputs)
