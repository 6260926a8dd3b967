"""The states of some sites, clean or under a condition: by replay, or from a full forward pass.

What a condition can't reach is clean, and the clean state of a site inside a layer takes that layer
alone, on its recorded input. So only the condition's cone is computed, up to the last layer that is
asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.edits.apply import STREAM
from retinoscope.engine.edits.hooked import intervening
from retinoscope.engine.recording.agreement import disagreement, once
from retinoscope.engine.recording.attention import attending
from retinoscope.engine.recording.inputs import keeping
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import WEIGHTS, Looking
from retinoscope.engine.replay.passes import first_changed
from retinoscope.engine.replay.replay import BEHIND, holds_hooks, predicted, replay
from retinoscope.engine.replay.suffix import SuffixAttention
from retinoscope.errors import InterventionError
from retinoscope.interventions import Edits, Site

States = dict[Site, Float[Tensor, "positions *state"]]


@torch.no_grad()
def states(
    recording: Recording, sites: Sequence[Site], edits: Edits, positions: Sequence[int]
) -> States:
    """The states of some sites under a condition, equal to those of a full forward pass.

    Each kind of site is compared with the full forward the first time that the model is asked for
    it, and again on each longer prompt; a kind that differs is taken from the full forward.

    Args:
        recording: the clean run.
        sites: which, all of them the model's.
        edits: what the condition does, checked.
        positions: of the prompt, ascending.

    Raises:
        InterventionError: an edit did not take effect, or a site was not reached.
    """
    whole = [site for site in sites if recording.fallback is not None or _beyond(site, edits)]
    within = [site for site in sites if site not in whole]
    found = replayed_states(recording, within, edits, positions) if within else {}

    def ask(site: Site) -> str | None:
        (plain,) = full_states(recording, [site], edits, positions).values()
        error = disagreement(found[site], plain)
        return None if error is None else f"it differs by {100 * error:.2g} %"

    for site in within:
        name = f"capture of {site.name}" + (" under a condition" if edits else "")
        reason = once(recording.checkpoint, name, recording.length, lambda site=site: ask(site))
        if reason is not None:
            whole.append(site)
    return found | (full_states(recording, whole, edits, positions) if whole else {})


def _beyond(site: Site, edits: Edits) -> bool:
    """Whether a condition changes a site's state outside its cone.

    Scores are taken before masking, also those of keys that a query does not read.
    """
    return bool(edits) and site.name == "attn_scores"


def full_states(
    recording: Recording, sites: Sequence[Site], edits: Edits, positions: Sequence[int]
) -> States:
    """As `states`, from one full forward pass with hooks."""
    found: States = {}
    where = list(positions)

    def see(site: Site, state: Tensor) -> Tensor:
        stream = state.ndim > 3 and site.name in STREAM
        all_of_it = state.reshape(-1, *state.shape[-2:]) if stream else state
        found[site] = _keys_of(recording, site, all_of_it[0, where]).clone()
        return state

    full_pass(recording, edits, Looking(frozenset(sites), see))
    missed = [str(site) for site in sites if site not in found]
    if missed:
        raise InterventionError(f"The model ran without reaching {', '.join(missed)}.")
    return found


def full_pass(recording: Recording, edits: Edits, looking: Looking) -> Tensor:
    """One forward pass of the model with one condition in force and some sites looked at.

    Returns:
        The logits of the last positions, [positions, vocabulary]; of all where `lm_head` is
        looked at.
    """
    model = recording.checkpoint.model
    asked = {} if Site("lm_head") in looking.sites else keeping(model, 1)
    with intervening(recording, edits, looking):
        return model(**recording.encoded.inputs, **asked, use_cache=False).logits[0]


def replayed_states(
    recording: Recording, sites: Sequence[Site], edits: Edits, positions: Sequence[int]
) -> States:
    """As `states`, by replay."""
    start = first_changed(edits, recording)
    changed = _changed(recording, sites, edits, start) if positions[-1] >= start else {}
    early = [position for position in positions if position < start]
    late = [position - start for position in positions if position >= start]
    found = _clean(recording, [site for site in sites if site not in changed], positions)
    before = _clean(recording, list(changed), early) if early else {}
    for site, state in changed.items():
        parts = [before[site]] if early else []
        found[site] = torch.cat([*parts, _keys_of(recording, site, state[late])])
    return found


def _changed(recording: Recording, sites: Sequence[Site], edits: Edits, start: int) -> States:
    """The states that a condition changes, from its first position on."""
    found: States = {}
    count = recording.length - start

    def see(site: Site, state: Tensor) -> Tensor:
        if len(state):  # a row of its own: the condition has touched something by now
            found[site] = state[0, -count:].clone()
        return state

    looking = Looking(frozenset(sites), see)
    attention = SuffixAttention(recording, start, looking=looking)
    layers = max(_layers_of(site, recording) for site in sites)
    hidden, plan = replay(recording, [edits], start, attention, layers=layers)
    if any(site.name in BEHIND for site in sites):
        predicted(recording, hidden, plan[-1].edits, range(start, recording.length), looking)
    return found


def _layers_of(site: Site, recording: Recording) -> int:
    """How many layers must run for a site."""
    if site.layer is None:
        return 0 if site.name == "embeddings" else recording.layer_count
    return site.layer + (site.name != "resid_pre")


def _clean(recording: Recording, sites: Sequence[Site], positions: Sequence[int]) -> States:
    """Clean states: recorded, or of single layers on their recorded inputs."""
    found: States = {}
    where = list(positions)
    for site in sites:
        if site.name in STREAM:
            place = (site.layer or 0) + (site.name == "resid_post")
            added = recording.additions.get(place) if site.name == "resid_post" else None
            state = recording.stream[place][where]
            found[site] = state if added is None else state - added[where]
    inside = [site for site in sites if site.name not in STREAM]
    for layer in dict.fromkeys(site.layer for site in inside if site.layer is not None):
        found |= _of_layer(
            recording, layer, [site for site in inside if site.layer == layer], where
        )
    behind = frozenset(site for site in sites if site.name in BEHIND)
    if behind:

        def last(site: Site, state: Tensor) -> Tensor:
            found[site] = state[0]
            return state

        hidden = recording.stream[-1][where][None]
        predicted(recording, hidden, [()], where, Looking(behind, last))
    return found


class _AllSeen(Exception):
    """Every state that is looked for in a layer is found; the rest of the layer needn't run."""


def _of_layer(
    recording: Recording, layer: int, sites: Sequence[Site], positions: list[int]
) -> States:
    """Clean states of one layer, run on its recorded input as far as a position needs it."""
    found: States = {}
    whole = holds_hooks(recording, layer)

    def see(site: Site, state: Tensor) -> Tensor:
        found[site] = _keys_of(recording, site, state[0][positions])
        if len(found) == len(sites) and not whole:
            raise _AllSeen
        return state

    end = positions[-1] + 1 if recording.causal else recording.length
    attention = SuffixAttention(recording, 0, looking=Looking(frozenset(sites), see))
    attention.shared.hold_clean(layer, end)
    with attending(recording.checkpoint.parts.decoder, attention), suppress(_AllSeen):
        attention.through(layer, recording.stream[layer][None, :end])
    return found


def _keys_of(recording: Recording, site: Site, state: Tensor) -> Tensor:
    """A state without what stands behind the prompt."""
    if site.name not in WEIGHTS:
        return state
    keys = recording.state_shape(site)[-1]
    missing = keys - state.shape[-1]
    return state[..., :keys] if missing <= 0 else torch.nn.functional.pad(state, (0, missing))
