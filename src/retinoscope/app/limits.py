"""Limits: how much a browser may ask of the explorer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Everything that is bounded.

    Attributes:
        upload_bytes: largest image file.
        pixels: largest width x height of a decoded image.
        upload_seconds: longest time that an upload may take to arrive.
        decoding: uploads that are decoded at the same time.
        body_bytes: largest request that holds no image.
        images: uploaded images that are kept; the one used longest ago goes first.
        views: recorded runs that are kept, likewise.
        requests: requests that are answered at the same time; more are turned away.
        idle_seconds: longest time that a connection may take to send its first request.
        waiting: questions to the model that are at work or waiting, in all.
    """

    upload_bytes: int = 20 * 2**20
    pixels: int = 24_000_000
    upload_seconds: float = 60.0
    decoding: int = 2
    body_bytes: int = 2**18
    images: int = 16
    views: int = 6
    requests: int = 64
    idle_seconds: float = 10.0
    waiting: int = 8
