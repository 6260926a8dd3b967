"""The logit lens: every chosen state through the final norm and the unembedding, in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.errors import SelectionError
from retinoscope.lens.lenses import StateLens, logit_lens
from retinoscope.lens.reading import LensReading

CHUNK_LOGITS = 2**22
"""Logits in memory at once (16 MiB in float32): small enough to stay near the processor's cache."""


@torch.no_grad()
def read_lens(
    recording: Recording,
    positions: Iterable[int],
    *,
    k: int = 5,
    tracked: Sequence[int] = (),
    chunk: int | None = None,
    norm_last_twice: bool = False,
    lens: StateLens | None = None,
) -> LensReading:
    """Read the clean residual stream as tokens (paper, section 4.1; nostalgebraist's logit lens).

    Each state goes through the final norm, the unembedding and whatever the model does to its
    logits afterwards. The recorded stream is raw at every place, so the last layer is normed once,
    as the model does it, and gives the model's own logits; the original code took the last state
    as normed already and normed it twice (`norm_last_twice`).

    Args:
        recording: the clean run.
        positions: where to read, usually a TokenSet of visual tokens.
        k: how many of the likeliest tokens to keep, 1 to the size of the vocabulary.
        tracked: token ids to follow through the layers.
        chunk: states unembedded at once; None bounds the logits in memory to 16 MiB. Never are the
            logits of all layers and positions held together.
        norm_last_twice: repeat the original's mistake in the last layer.
        lens: another lens than the logit lens; probabilities are then shares of the words that it
            knows (all alike where it reads nothing).

    Raises:
        SelectionError: no position, a position outside the sequence, a k or a token id outside
            the vocabulary (or the lens' words), or a chunk below 1.
    """
    chosen, vocabulary = tuple(positions), recording.logits.shape[-1]
    by = lens or logit_lens(recording)
    _check(chosen, k, tracked, chunk, recording, by)
    size = chunk or max(1, CHUNK_LOGITS // vocabulary)
    count, followed = (recording.layer_count + 1) * len(chosen), len(tracked)
    # Room for all results first: kept one by one between the large pieces, they would keep freed
    # ones from being joined, and the process growing (by 2 GB at 32,000 words and 17 layers).
    stores = (
        torch.empty(count, k, dtype=torch.long),
        torch.empty(count, k),
        torch.empty(count),
        torch.empty(count, followed),
        torch.empty(count, followed, dtype=torch.long),
    )
    at = 0
    for place, states in _states(recording, chosen, size, norm_last_twice):
        found = _read(by.scores(states, place), k, tracked)
        for store, part in zip(stores, found, strict=True):
            store[at : at + len(states)] = part
        at += len(states)
    ids, probabilities, entropy, log_probability, rank = stores
    shape = (recording.layer_count + 1, len(chosen))
    return LensReading(
        positions=chosen,
        tracked=tuple(tracked),
        ids=ids.view(*shape, k),
        probabilities=probabilities.view(*shape, k),
        entropy=entropy.view(shape),
        log_probability=log_probability.T.reshape(-1, *shape),
        rank=rank.T.reshape(-1, *shape),
    )


def _states(
    recording: Recording, positions: tuple[int, ...], size: int, norm_last_twice: bool
) -> Iterable[tuple[int, Float[Tensor, "rows width"]]]:
    """The places with the chosen states, in pieces of at most `size` that never cross layers."""
    for place in range(recording.layer_count + 1):
        states = recording.residual(place)[list(positions)]
        if norm_last_twice and place == recording.layer_count:
            norm = recording.require_replay("A second norm").norm
            states = norm(states.to(next(norm.parameters(), states).device))
        yield from ((place, some) for some in states.split(size))


def _read(
    logits: Float[Tensor, "rows vocabulary"], k: int, tracked: Sequence[int]
) -> tuple[
    Int[Tensor, "rows k"],
    Float[Tensor, "rows k"],
    Float[Tensor, " rows"],
    Float[Tensor, "rows tracked"],
    Int[Tensor, "rows tracked"],
]:
    """Top tokens, their probabilities, the entropy, and the tracked tokens' standing."""
    top = logits.topk(k, dim=-1)
    followed = logits[:, list(tracked)]
    above = [(logits > followed[:, [index]]).sum(-1) for index in range(len(tracked))]
    rank = torch.stack(above, dim=-1) if above else followed.long()
    log_probability = logits.log_softmax(-1)
    entropy = -(log_probability.exp() * log_probability.nan_to_num(neginf=0.0)).sum(-1)
    return (
        top.indices,
        log_probability.gather(-1, top.indices).exp(),
        entropy,
        log_probability[:, list(tracked)],
        rank,
    )


def _check(
    positions: tuple[int, ...],
    k: int,
    tracked: Sequence[int],
    chunk: int | None,
    recording: Recording,
    lens: StateLens,
) -> None:
    vocabulary = recording.logits.shape[-1]
    if not positions or not 0 <= min(positions) <= max(positions) < recording.length:
        raise SelectionError(
            f"The lens was given {len(positions)} positions, {list(positions[:3])} first; give at "
            f"least one of 0..{recording.length - 1}."
        )
    words = lens.words(0)
    most = vocabulary if words is None else len(words)
    if not 1 <= k <= most:
        raise SelectionError(f"The lens keeps 1 to {most} tokens; got k={k}.")
    unknown = [token for token in tracked if words is not None and token not in words]
    if unknown:
        raise SelectionError(
            f"The {lens.kind} lens was fitted on {most} words; token ids {unknown[:5]} are not "
            "among them. Fit one with them, or follow others."
        )
    astray = [token for token in tracked if not 0 <= token < vocabulary]
    if astray:
        raise SelectionError(
            f"Token ids {astray[:5]} are not in the vocabulary of 0..{vocabulary - 1}."
        )
    if chunk is not None and chunk < 1:
        raise SelectionError(f"The lens reads at least 1 state at once; got chunk={chunk}.")
