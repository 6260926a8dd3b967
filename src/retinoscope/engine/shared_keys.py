"""Keys and values that later layers read from an earlier one (Gemma 4), in the rows of a replay."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from retinoscope.engine.forks import Fork, forked
from retinoscope.engine.recording import Recording

Keys = Float[Tensor, "rows groups suffix width"]


class SharedKeys:
    """What layers that own keys and values hold ready for those that have none.

    Rows fork on between the layers, so what the owner gave is forked with them.

    Args:
        recording: the clean run.
        start: the first position of the suffix.
    """

    def __init__(self, recording: Recording, start: int) -> None:
        self._calls = recording.calls
        self._start = start
        self._owners = {call.owner for call in recording.calls if call.owner is not None}
        self._held: dict[int, tuple[Tensor, Tensor]] = {}

    def follow(self, place: int, fork: Fork, end: int) -> None:
        """Fork what the layers before a place hold.

        Args:
            place: the place of the stream that is entered.
            fork: its rows.
            end: the position behind the suffix.
        """
        for owner in self._owners:
            call = self._calls[owner]
            if owner >= place or call.keys is None or call.values is None:
                continue
            clean = call.keys[0, :, self._start : end], call.values[0, :, self._start : end]
            keys, values = self._held.get(owner, (clean[0][None][:0], clean[1][None][:0]))
            self._held[owner] = forked(keys, fork, clean[0]), forked(values, fork, clean[1])

    def of(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Keys, Keys]:
        """The keys and values that a layer reads: its own, as given, or its owner's.

        A layer without its own is given what the model finds lying about, of whatever rows.
        """
        owner = self._calls[layer].owner
        if owner is not None:
            return self._held[owner]
        if layer in self._owners:
            self._held[layer] = keys, values
        return keys, values
