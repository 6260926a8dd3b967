"""The plain full forward pass of the whole model under one condition: exact for every model.

The fallback where a recording can't be replayed, and what the replay is measured against.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.edits.hooked import intervening
from retinoscope.engine.recording.inputs import as_words, keeping, with_tokens
from retinoscope.engine.recording.recording import Recording
from retinoscope.interventions import Edits, Site, Write


@torch.no_grad()
def full_logits(
    recording: Recording,
    edits: Edits,
    positions: Sequence[int] | None = None,
    tokens: Sequence[int] = (),
) -> Float[Tensor, "positions vocabulary"]:
    """Logits of one forward pass of the model on the prompt, with hooks for one condition.

    Args:
        recording: for the model and its inputs; nothing that was recorded is used.
        edits: what the condition does.
        positions: where to take the logits; None is the last position alone.
        tokens: generated so far, behind the prompt; edges of the prompt's last position hold
            for them too.

    Raises:
        InterventionError: a knockout did not reach an attention function, finds no edge, or leaves
            a query without keys.
        ModelError: an image token was generated that the model can't be given in one pass.
    """
    encoded = recording.encoded
    inputs = encoded.inputs
    if tokens:
        inputs = with_tokens(inputs, recording.length, tokens, recording.text_types)
    model = recording.checkpoint.model
    whole = positions is not None or Site("lm_head") in {
        edit.site for edit in edits if isinstance(edit, Write)
    }
    asked = {} if whole else keeping(model, 1)
    with (
        as_words(recording.checkpoint, inputs, encoded.layout) as words,
        intervening(recording, edits),
    ):
        logits = model(**words, **asked, use_cache=False).logits[0]
    if positions is None:
        return logits[-1:].float()
    return logits[list(positions)].float()
