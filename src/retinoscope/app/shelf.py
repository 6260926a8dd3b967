"""A shelf: the few things that were used last, by name."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """Holds at most `room` things; the one used longest ago makes way. Safe among threads."""

    def __init__(self, room: int) -> None:
        """An empty shelf for at most `room` things."""
        self._room = room
        self._lock = Lock()
        self._things: OrderedDict[str, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._things)

    def put(self, name: str, thing: T) -> None:
        """Keep a thing under a name."""
        with self._lock:
            self._things[name] = thing
            self._things.move_to_end(name)
            while len(self._things) > self._room:
                self._things.popitem(last=False)

    def get(self, name: str) -> T | None:
        """The thing of that name, or None."""
        with self._lock:
            if name not in self._things:
                return None
            self._things.move_to_end(name)
            return self._things[name]
