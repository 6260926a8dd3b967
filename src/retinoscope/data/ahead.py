"""Reading ahead: the next images are read while a model works on those before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4
"""Images that are read, or wait to be, before they are asked for."""


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result]
) -> Generator[Future[Result], None, None]:
    """What is read of each item, in their order, each being read while those before are used.

    One thread reads, one item after the other, since data of other packages may not bear more.

    Args:
        items: such as samples.
        read: such as `load_image`.

    Yields:
        What has, or will have, the result of `read`; asking for it raises its error.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(read, item))
                if len(waiting) > AHEAD:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for one in waiting:
                one.cancel()
