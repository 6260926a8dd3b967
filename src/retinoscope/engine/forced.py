"""Teacher forcing: a given continuation of the prompt, whatever a condition would have said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.edits.full import full_logits
from retinoscope.engine.evaluate import unproved
from retinoscope.engine.record import record
from retinoscope.engine.recording.inputs import with_tokens
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.replay.decoding import Decoding
from retinoscope.engine.replay.passes import kept_bytes
from retinoscope.errors import InterventionError, ModelError
from retinoscope.interventions import Condition, Edits, as_condition
from retinoscope.models.encode import answer_begun
from retinoscope.models.memory import in_passes, kept_memory
from retinoscope.tokens import TokenLayout


@torch.no_grad()
def forced(
    recording: Recording,
    conditions: Sequence[Condition],
    tokens: Sequence[int],
    *,
    memory: int | None = None,
) -> Float[Tensor, "conditions tokens"]:
    """The log-probability of each token of a given continuation under each condition, in nats.

    Each token is predicted behind all that come before it in the continuation, so that conditions
    are compared word by word. Interventions stay in force as in `generate`: a knockout of the last
    position holds for the continuation's positions too.

    Args:
        recording: the clean run, recorded for as many `max_new_tokens`.
        conditions: each a tuple of interventions in force together; () is the clean run.
        tokens: ids of the continuation, at least one.
        memory: bytes of keys and values in one batch, None for a size that suits the device.

    Raises:
        InterventionError: as in `evaluate`; there is no token, one is not in the vocabulary, or the
            recording is for fewer.
    """
    vocabulary = recording.logits.shape[-1]
    if not tokens or not all(0 <= token < vocabulary for token in tokens):
        raise InterventionError(
            f"A continuation is made of token ids of 0..{vocabulary - 1}, at least one; got "
            f"{list(tokens)[:5]}."
        )
    if len(tokens) > recording.max_new_tokens:
        raise InterventionError(
            f"A continuation of {len(tokens)} tokens needs a recording for as many; this one is "
            f"for {recording.max_new_tokens}. Record again with max_new_tokens={len(tokens)}."
        )
    check = Checked(recording)
    edits = [check.edits(as_condition(condition)) for condition in conditions]
    plain = recording.fallback is None and recording.generation_fallback is None
    if not plain or unproved(recording, edits) is not None:
        rows = [_repeated(recording, one, tokens) for one in edits]
        return torch.stack(rows) if rows else torch.zeros(0, len(tokens))

    def run(some: Sequence[Edits]) -> list[Tensor]:
        return list(_decoded(recording, some, tokens))

    size = max(1, (memory or kept_memory(recording.checkpoint)) // kept_bytes(recording))
    found = [row for _, rows in in_passes(edits, size, run) for row in rows]
    return torch.stack(found) if found else torch.zeros(0, len(tokens))


def _decoded(
    recording: Recording, edits: Sequence[Edits], tokens: Sequence[int]
) -> Float[Tensor, "conditions tokens"]:
    decoding = Decoding(recording, edits)
    found: list[Tensor] = []
    for place, token in enumerate(tokens):
        if place:
            decoding.feed(torch.full((len(edits),), tokens[place - 1]).to(decoding.logits.device))
        found.append(decoding.logits.float().log_softmax(-1)[:, token])
    return torch.stack(found, 1).cpu()


def _repeated(
    recording: Recording, edits: Edits, tokens: Sequence[int]
) -> Float[Tensor, " tokens"]:
    """By a full forward pass of the model for each token."""
    found = [
        full_logits(recording, edits, tokens=tokens[:place])[-1].log_softmax(-1)[token]
        for place, token in enumerate(tokens)
    ]
    return torch.stack(found).cpu()


def extended(recording: Recording, tokens: Sequence[int], text: str = "") -> Recording:
    """A clean run of the same prompt with tokens of an answer behind it.

    Its last position predicts what follows them, so that whatever is asked of a recording is asked
    of that word.

    Args:
        recording: the clean run.
        tokens: ids that stand behind the prompt; without any, the recording itself.
        text: what they spell, for the prompt as it is shown.

    Raises:
        ModelError: the answer is a sequence of its own (an encoder-decoder).
    """
    if not tokens:
        return recording
    encoded, checkpoint = recording.encoded, recording.checkpoint
    if "decoder_input_ids" in encoded.inputs:
        raise ModelError(
            f"{checkpoint.name} writes its answer in a sequence of its own, so that no prompt with "
            "a part of the answer can be recorded."
        )
    inputs = with_tokens(encoded.inputs, recording.length, tokens, recording.text_types)
    layout = TokenLayout(encoded.layout.length + len(tokens), encoded.layout.spans)
    prompt = answer_begun(encoded.prompt, text.strip())
    longer = replace(encoded, inputs=inputs, layout=layout, prompt=prompt)
    return record(checkpoint, longer, max_new_tokens=recording.max_new_tokens)
