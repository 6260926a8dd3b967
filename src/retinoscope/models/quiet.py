"""Loading without transformers' bars, which stand in logs and notebooks for a second's work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging


@contextmanager
def without_bars(*, downloads: bool) -> Iterator[None]:
    """No progress bars of transformers within; as before afterwards.

    Args:
        downloads: whether something may be fetched from the hub: in a terminal that is shown.
    """
    if not logging.is_progress_bar_enabled() or (downloads and sys.stderr.isatty()):
        yield
        return
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()
