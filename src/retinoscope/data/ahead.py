"""Images read ahead: the next ones are decoded while a model works on those before."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from PIL import Image

from retinoscope.data.images import load_image
from retinoscope.data.samples import Sample

AHEAD = 4
"""Images that are read, or wait to be, before they are asked for."""


def read_ahead(samples: Iterable[Sample]) -> Generator[Future[Image.Image], None, None]:
    """The samples' images in their order, each being read while those before it are used.

    One thread reads, one image after the other, since data of other packages may not bear more.

    Args:
        samples: whose images are read.

    Yields:
        What has, or will have, the result of `load_image`; asking for it raises its error.
    """
    waiting: deque[Future[Image.Image]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        try:
            for sample in samples:
                waiting.append(pool.submit(load_image, sample))
                if len(waiting) > AHEAD:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for one in waiting:
                one.cancel()
