"""The activation cache: the state of any site, clean or under a condition, computed when asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.edits.apply import STREAM
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.edits.full import intervening
from retinoscope.engine.recording.inputs import keeping
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import WEIGHTS, Visit
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition, Edits, Site, Source, as_condition, as_site
from retinoscope.interventions.edits import checked_layers, checked_positions, place_site
from retinoscope.interventions.site import LAYER_SITES
from retinoscope.tokens import Chosen


class Activations(Mapping):
    """States of some sites under one condition: a mapping that computes what is asked of it.

    `activations["attn_out.3"]` is [positions, width], detached, on the model's device. Each site
    costs one forward pass when it is first asked for and is held from then on; `load` takes all of
    them in one pass, `stack` one name in all its layers. The clean residual stream is recorded
    already and costs nothing.

    Attributes:
        sites: in forward order.
        positions: of the prompt, ascending; of `attn_scores` and `attn_probs` the queries.
    """

    def __init__(
        self, recording: Recording, sites: Sequence[Site], edits: Edits, positions: Sequence[int]
    ) -> None:
        self.sites = tuple(sorted(set(sites), key=lambda s: (_rank(s, recording), s.order)))
        self.positions = tuple(positions)
        self._recording, self._edits = recording, edits
        self._held: dict[Site, Tensor] = {}

    @property
    def nbytes(self) -> int:
        """Memory of all states together, in bytes, held or not."""
        size = self._recording.stream[0].element_size()
        shapes = [self._recording.state_shape(site) for site in self.sites]
        return sum(len(self.positions) * prod(shape) * size for shape in shapes)

    def __getitem__(self, site: Site | str) -> Float[Tensor, "positions *state"]:
        found = as_site(site)
        if found not in self.sites:
            raise KeyError(f"{found} was not asked for; these were: {', '.join(map(str, self))}.")
        if found not in self._held:
            self._take([found])
        return self._held[found]

    def __contains__(self, site: object) -> bool:
        return isinstance(site, Site | str) and as_site(site) in self.sites

    def __iter__(self) -> Iterator[Site]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    def __repr__(self) -> str:
        names = list(dict.fromkeys(site.name for site in self.sites))
        return (
            f"Activations({', '.join(names)}: {len(self)} sites, {len(self.positions)} positions, "
            f"{self.nbytes / 2**20:.1f} MiB in all, {len(self._held)} held)"
        )

    def load(self) -> Activations:
        """Take every state that is not held yet, in one forward pass."""
        self._take([site for site in self.sites if site not in self._held])
        return self

    def stack(self, name: str) -> Float[Tensor, "layers positions *state"]:
        """One name in all the layers that were asked for, ascending, in one forward pass."""
        chosen = [site for site in self.sites if site.name == name and site.layer is not None]
        if not chosen:
            raise KeyError(f"No layer of {name!r} was asked for.")
        self._take([site for site in chosen if site not in self._held])
        return torch.stack([self._held[site] for site in chosen])

    def source(self, layer: int) -> Source:
        """The keys and values of one layer at these positions, for an `Edge` to be patched from.

        Raises:
            KeyError: `key` and `value` of the layer were not asked for.
        """
        wanted = [Site("key", layer), Site("value", layer)]
        if all(site in self.sites for site in wanted):
            self._take([site for site in wanted if site not in self._held])
        keys, values = (self[site].transpose(0, 1) for site in wanted)
        return Source(keys, values)

    def _take(self, sites: Sequence[Site]) -> None:
        rest = [site for site in sites if not self._recorded(site)]
        if rest:
            self._held |= captured(self._recording, rest, self._edits, self.positions)

    def _recorded(self, site: Site) -> bool:
        """Take a state from the recording, where it holds it."""
        if self._edits or site.name not in STREAM:
            return False
        place = (site.layer or 0) + (site.name == "resid_post")
        if site.name == "resid_post" and place in self._recording.additions:
            return False
        self._held[site] = self._recording.stream[place][list(self.positions)]
        return True


def _rank(site: Site, recording: Recording) -> int:
    if site.layer is not None:
        return site.layer
    return -1 if site.name == "embeddings" else recording.layer_count


def capture(
    recording: Recording,
    sites: str | Site | Sequence[str | Site],
    condition: Condition = (),
    *,
    layers: int | Iterable[int] | None = None,
    positions: Chosen = None,
) -> Activations:
    """The states of some sites, clean or under a condition, computed when they are asked for.

    Args:
        recording: the clean run.
        sites: addresses such as "attn_out.3", or names such as "attn_out" for all of `layers`.
        condition: the interventions in force together; () is the clean run.
        layers: of the names that are given without one; None is every layer that has the site.
        positions: where; None is every position of the prompt.

    Raises:
        InterventionError: an address isn't understood, the model has no such site, a layer or
            position is outside the model or the prompt, or an intervention can't be applied.
    """
    given = [sites] if isinstance(sites, str | Site) else list(sites)
    chosen = [site for one in given for site in _expanded(one, recording, layers)]
    for site in chosen:
        recording.tap(site)
    where = tuple(range(recording.length))
    if positions is not None:
        where = checked_positions(positions, recording, "capture(positions=...)")
    edits = Checked(recording).edits(as_condition(condition))
    return Activations(recording, chosen, edits, where)


def _expanded(
    given: str | Site, recording: Recording, layers: int | Iterable[int] | None
) -> list[Site]:
    """One address as it is, a name of layers in each of them."""
    if not isinstance(given, str) or given not in LAYER_SITES:
        return [as_site(given)]
    if layers is not None:
        chosen = checked_layers(layers, recording.layer_count, "capture(layers=...)")
        return [Site(given, layer) for layer in chosen]
    every = [Site(given, layer) for layer in range(recording.layer_count)]
    there = [site for site in every if recording.has(site)]
    return there or every[:1]


@torch.no_grad()
def captured(
    recording: Recording, sites: Sequence[Site], edits: Edits, positions: Sequence[int]
) -> dict[Site, Float[Tensor, "positions *state"]]:
    """The states of some sites from one full forward pass under a condition.

    Raises:
        InterventionError: an edit did not take effect, or a site was not reached.
    """
    found: dict[Site, Tensor] = {}
    where = list(positions)

    def see(site: Site, state: Tensor) -> Tensor:
        states = (
            state.reshape(-1, *state.shape[-2:])
            if state.ndim > 3 and site.name in STREAM
            else state
        )
        chosen = states[0, where]
        if site.name in WEIGHTS:
            chosen = chosen[..., : recording.state_shape(site)[-1]]
        found[site] = chosen.clone()
        return state

    run(recording, edits, sites, see)
    missed = [str(site) for site in sites if site not in found]
    if missed:
        raise InterventionError(f"The model ran without reaching {', '.join(missed)}.")
    return found


def run(recording: Recording, edits: Edits, sites: Sequence[Site], visit: Visit) -> Tensor:
    """One forward pass of the model with one condition in force and some sites visited.

    Returns:
        The logits of the last positions, [positions, vocabulary]; of all where `lm_head` is
        visited.
    """
    model = recording.checkpoint.model
    asked = {} if Site("lm_head") in sites else keeping(model, 1)
    with intervening(recording, edits, sites, visit):
        return model(**recording.encoded.inputs, **asked, use_cache=False).logits[0]


@torch.no_grad()
def changed_stream(
    recording: Recording, condition: Condition
) -> tuple[Float[Tensor, "positions width"], ...]:
    """The raw residual stream at every place, 0 to the number of layers, under a condition.

    Args:
        recording: the clean run; the empty condition gives its own stream.
        condition: the interventions in force together.

    Raises:
        InterventionError: an intervention can't be applied here, or did not take effect.
    """
    condition = as_condition(condition)
    if not condition:
        return recording.stream
    checkpoint, inputs = recording.checkpoint, recording.encoded.inputs
    edits = Checked(recording).edits(condition)
    sites = [place_site(place, recording) for place in range(recording.layer_count + 1)]
    states: dict[Site, Tensor] = {}

    def see(site: Site, state: Tensor) -> Tensor:
        states[site] = state.reshape(-1, *state.shape[-2:])[0, : recording.length]
        return state

    with intervening(recording, edits, sites, see):
        checkpoint.model(**inputs, **keeping(checkpoint.model, 1), use_cache=False)
    return tuple(states[site] for site in sites)
