"""Replay: run the decoder layers again on the positions behind a shared clean prefix."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.edits.apply import apply, edges, inner, place_of
from retinoscope.engine.recording.attention import attending
from retinoscope.engine.recording.layer import SelfAttention
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import NOWHERE, Looking, ModuleTap, tapped
from retinoscope.engine.replay.batch_rows import BatchRows, batch_rows, forked
from retinoscope.engine.replay.suffix import SuffixAttention
from retinoscope.interventions import Edits, Site, Write

Seen = Callable[[int, BatchRows, Sequence[int], Tensor], None]
"""Is given a place, its rows, the positions that are run and the rows' states there."""

BEHIND = ("final_norm", "lm_head")
"""Sites behind the layers."""

FEW = 4
"""Positions that are not worth a detour in the last layer."""


def run_suffix(
    recording: Recording,
    hidden: Float[Tensor, "rows suffix width"],
    start: int,
    wanted: Sequence[int] | None = None,
) -> Float[Tensor, "rows wanted width"]:
    """Every decoder layer on inputs of one's own behind the clean prefix; differentiable.

    Args:
        recording: the clean run.
        hidden: inputs of the first layer, at the positions from `start` on.
        start: the first position of the suffix.
        wanted: positions of the suffix, from 0, whose stream is asked for; None is every one.

    Returns:
        The residual stream after the last layer, raw.
    """
    attention = SuffixAttention(recording, start)
    chosen = list(range(hidden.shape[1]) if wanted is None else wanted)
    last, short = recording.layer_count - 1, _ends_early(recording, hidden.shape[1] - len(chosen))
    with attending(recording.checkpoint.parts.decoder, attention):
        for place in range(recording.layer_count):
            hidden = hidden.to(recording.stream[place].device)
            if place in recording.additions:
                hidden = hidden + recording.additions[place][start:]
            if short and place == last:
                return attention.through_for(place, hidden, (), chosen)
            hidden = attention.through(place, hidden)
    return hidden[:, chosen]


def replay(
    recording: Recording,
    conditions: Sequence[Edits],
    start: int,
    attention: SuffixAttention | None = None,
    *,
    end: int | None = None,
    wanted: Sequence[int] | None = None,
    seen: Seen | None = None,
    layers: int | None = None,
) -> tuple[Float[Tensor, "rows wanted width"], list[BatchRows]]:
    """The residual stream after the last layer under each condition, raw, from `start` on.

    Args:
        recording: the clean run.
        conditions: what each condition does, checked; nothing before `start`.
        start: the first position of the suffix.
        attention: to keep the keys and values of the suffix, or to look at its states.
        end: replay only up to this position; None is the whole prompt.
        wanted: positions of the suffix, from 0, whose stream is asked for; None is every one.
        seen: told of the stream at every place, after what is written there.
        layers: run only so many layers; None is all.

    Returns:
        One row for each way in which conditions differ, and how the rows forked: `rows` of the last
        place says which row is whose; CLEAN is the recorded stream.
    """
    attention = attention or SuffixAttention(recording, start)
    plan = batch_rows(conditions, recording.layer_count + 1)
    until = recording.layer_count if layers is None else layers
    positions = list(range(start, stop := recording.length if end is None else end))
    chosen = list(range(len(positions)) if wanted is None else wanted)
    last = recording.layer_count - 1
    late = attention.looking.sites or any(_works_late(edits, last) for edits in conditions)
    short = not late and _ends_early(recording, len(positions) - len(chosen))
    hidden = recording.stream[0][:0, None].expand(0, len(positions), -1)
    with attending(recording.checkpoint.parts.decoder, attention):
        for place, batch in enumerate(plan[: until + 1]):
            hidden = _inputs(hidden, recording, place, batch, positions, attention.looking)
            if seen is not None:
                seen(place, batch, positions, hidden)
            attention.shared.follow(place, batch, stop)
            if short and place == last:
                positions = [positions[index] for index in chosen]
                hidden = attention.through_for(place, hidden, batch.edits, chosen)
            elif batch.edits and place < until:
                hidden = attention.through(place, hidden, batch.edits)
    return hidden if short else hidden[:, chosen], plan


def predicted(
    recording: Recording,
    hidden: Float[Tensor, "rows columns width"],
    edits: Sequence[Edits],
    positions: Sequence[int],
    looking: Looking = NOWHERE,
) -> Float[Tensor, "rows columns vocabulary"]:
    """Logits of states behind the last layer, with what each row's condition writes there.

    Args:
        recording: the clean run.
        hidden: the stream behind the last layer.
        edits: what each row's condition does behind the layers.
        positions: where in the prompt the columns stand.
        looking: what is looked at there.
    """
    written = {edit.site for one in edits for edit in one if isinstance(edit, Write)}

    def at(site: Site, state: Tensor) -> Tensor:
        return looking.at(site, apply(state, edits, site, positions))

    sites = [site for site in written | looking.sites if site.name in BEHIND]
    taps = [(site, recording.tap(site)) for site in sites]
    with tapped([(site, tap) for site, tap in taps if isinstance(tap, ModuleTap)], at):
        return recording.unembed(hidden).float()


def _ends_early(recording: Recording, unwanted: int) -> bool:
    """Whether the last layer is run for the wanted positions alone.

    Not where few are spared, or where hooks must see the layer's end.
    """
    last = recording.layer_count - 1
    attends = isinstance(recording.layers[last].mixing, SelfAttention)
    return unwanted >= FEW and attends and not holds_hooks(recording, last)


def holds_hooks(recording: Recording, layer: int) -> bool:
    """Whether a layer's weights are brought in and out by hooks (accelerate), to its very end."""
    modules = recording.checkpoint.parts.layers[layer].modules()
    return any(hasattr(module, "_hf_hook") for module in modules)


def _works_late(edits: Edits, last: int) -> bool:
    """Whether a condition does more in the last layer than remove edges."""
    patched = any(edge.source is not None for edge in edges(edits, last))
    return (
        patched
        or bool(inner(edits, last))
        or any(place_of(edit, last + 1) > last for edit in edits)
    )


def _inputs(
    hidden: Float[Tensor, "before positions width"],
    recording: Recording,
    place: int,
    batch: BatchRows,
    positions: Sequence[int],
    looking: Looking,
) -> Float[Tensor, "rows positions width"]:
    """The rows of a place: the output of the layer before, what the model adds, what is written."""
    clean, edits = recording.stream[place][list(positions)], batch.edits
    before = Site("resid_post", place - 1) if place else Site("embeddings")

    def at(site: Site, state: Tensor) -> Tensor:
        return looking.at(site, apply(state, edits, site, positions))

    hidden, added = hidden.to(clean.device), recording.additions.get(place)
    if added is None:
        hidden = at(before, forked(hidden, batch, clean))
    else:
        added = added[list(positions)]
        written = any(isinstance(e, Write) and e.site == before for one in edits for e in one)
        if written or before in looking.sites:
            hidden = at(before, forked(hidden, batch, clean - added)) + added
        else:
            hidden = forked(hidden + added, batch, clean)
    return at(Site("resid_pre", place), hidden) if place < recording.layer_count else hidden
