"""The activation cache: the state of any site, clean or under a condition, computed when asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from retinoscope.brief import brief
from retinoscope.engine.edits.apply import STREAM
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.states import states
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition, Edits, Site, Source, as_condition, as_site
from retinoscope.interventions.edits import checked_layers, checked_positions, place_site
from retinoscope.interventions.site import LAYER_SITES, hook_name
from retinoscope.tokens import Chosen

HEADS_FIRST = ("attn_scores", "attn_probs")
"""Sites that TransformerLens holds as [heads, queries, keys], we as [queries, heads, keys]."""


class Activations(Mapping):
    """States of some sites under one condition: a mapping that computes what is asked of it.

    `activations["attn_out.3"]`, or `activations["attn_out", 3]` with the layer counted from the end
    where it is negative, is [positions, width], detached, on the model's device. Each site is
    computed when it is first asked for and held from then on: a clean one takes its layer alone,
    one under a condition a replay of what that changes, as far as the layer. `load` takes all of
    them in one pass, `stack` one name in all its layers. The clean residual stream is recorded
    already and costs nothing. On a model that can't be replayed a full forward pass is taken.

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

    def __getitem__(self, site: Site | str | tuple[str, int]) -> Float[Tensor, "positions *state"]:
        found = self._named(site)
        if found not in self.sites:
            raise KeyError(f"{found} was not asked for; these were: {', '.join(map(str, self))}.")
        if found not in self._held:
            self._take([found])
        return self._held[found]

    def __contains__(self, site: object) -> bool:
        return isinstance(site, Site | str | tuple) and self._named(site) in self.sites

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
        """Take every state that is not held yet, in one pass."""
        self._take([site for site in self.sites if site not in self._held])
        return self

    def stack(self, name: str) -> Float[Tensor, "layers positions *state"]:
        """One name in all the layers that were asked for, ascending, in one pass."""
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

    def to_transformer_lens(self) -> dict[str, Float[Tensor, "1 ..."]]:
        """The states under the hook names and in the shapes of TransformerLens, in one pass.

        With the dimension of the batch, and heads before queries in `hook_attn_scores` and
        `hook_pattern`: what `transformer_lens.ActivationCache(found, model)` takes. Scores are
        those before masking.

        Raises:
            InterventionError: TransformerLens has no hook at one of the sites.
        """
        names = {hook_name(site): site for site in self.sites}
        states = self.load()._held
        turned = {
            name: states[site].transpose(0, 1) if site.name in HEADS_FIRST else states[site]
            for name, site in names.items()
        }
        return {name: state[None] for name, state in turned.items()}

    def _named(self, given: Site | str | tuple[str, int]) -> Site:
        """A site; the layer of a name and a layer may count from the end."""
        if isinstance(given, tuple) and len(given) == 2 and type(given[1]) is int and given[1] < 0:
            given = (given[0], given[1] + self._recording.layer_count)
        return as_site(given)

    def _take(self, sites: Sequence[Site]) -> None:
        rest = [site for site in sites if not self._recorded(site)]
        if rest:
            self._held |= states(self._recording, rest, self._edits, self.positions)

    def _recorded(self, site: Site) -> bool:
        """Take a state from the recording, where it holds it."""
        if self._edits or site.name not in STREAM:
            return False
        recording, after = self._recording, site.name == "resid_post"
        place = (site.layer or 0) + after
        # What the model adds behind a layer is in the stream; only a replay knows where it does.
        if after and (recording.fallback is not None or place in recording.additions):
            return False
        self._held[site] = recording.stream[place][list(self.positions)]
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
    wanted: object = sites
    given = [sites] if isinstance(sites, str | Site) else sites
    if isinstance(given, type) or not isinstance(given, Iterable):
        raise InterventionError(
            f"Sites are names or addresses such as 'attn_out' or 'attn_out.3'; got {brief(wanted)}."
        )
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
    sites = [place_site(place, recording) for place in range(recording.layer_count + 1)]
    found = capture(recording, sites, condition).load()
    return tuple(found[site] for site in sites)
