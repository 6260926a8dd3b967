"""Requests to the explorer that mean ill, or nothing at all, drawn at random."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.random import Generator
from PIL import Image

from tests.attack.mutations import NAMES, mutated, mutated_json

PROMPT = {"images": ["example-0"], "question": "Is there a dog in this image ?"}
VERBS: dict[str, Any] = {
    "look": {"prompt": PROMPT},
    "select": {"prompt": PROMPT, "patches": [0, 5], "how": "grow", "object": 0, "seed": 1},
    "intervene": {
        "prompt": PROMPT | {"prefix": "It is a"},
        "patches": [1, 2],
        "action": {"type": "ablate", "value": "noise", "seed": 3},
        "kept": [{"patches": [4], "action": {"type": "block", "first": 0, "last": 2}}],
    },
    "read": {"prompt": PROMPT, "patches": [3]},
    "overlay": {"prompt": PROMPT, "reading": "rollout", "token": None},
    "export": {
        "prompt": PROMPT,
        "patches": [3],
        "action": {"type": "block", "first": 1, "last": 1},
    },
}
"""A request that is understood for each verb."""

PLACES = (
    *("/", "/static/main.js", "/static/..%2f..%2fetc%2fpasswd", "/static/%00", "/api/model"),
    *("/api/images/example-0", "/api/images/..%2f..", "/api/images/" + "a" * 3000, "//", "/%ff"),
    *("/api/look/../model", "/api/eval", "/api/", "/static/", "/favicon.ico", "/?a=" + "b" * 3000),
)
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW")
ORIGINS = (
    *(b"http://localhost:8410", b"null", b"http://[", b"//", b"https://elsewhere.example"),
    *(b"http://localhost:8410@elsewhere.example", b"\xff\xfe", b"http://localhost:8410\0", b""),
)
HOSTS = (
    *(b"localhost:8410", b"127.0.0.1", b"[::1]:8410", b"elsewhere.example", b"[", b"localhost:x"),
    *(b"localhost.elsewhere.example", b"\xff", b"", b"localhost:8410, elsewhere.example"),
)
LENGTHS = (b"0", b"-1", b"abc", b"9" * 30, b"1e3", b"+5", "٣".encode(), b"10, 10")
"""The last but one are digits, too, and no number of HTTP's."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    place: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def raw(self) -> bytes:
        """As it goes over the wire."""
        lines = [f"{self.method} {self.place} HTTP/1.1".encode()]
        lines += [name + b": " + value for name, value in self.headers]
        return b"\r\n".join([*lines, b"", self.body])


def asked(drawn: Generator) -> Asked:
    """One request: a question that is nearly understood, an upload, or anything else."""
    match int(drawn.integers(5)):
        case 0 | 1:
            verb = _of(tuple(VERBS), drawn)
            body = mutated_json(VERBS[verb], drawn)
            if drawn.random() < 0.2:
                body = json.dumps(
                    VERBS[verb] | {"prompt": PROMPT | {"question": _of(NAMES, drawn)[:400]}}
                ).encode()
            return Asked("POST", f"/api/{verb}", _headers(drawn, 0.2), body)
        case 2 | 3:
            name = quote(_of(NAMES, drawn).encode("utf-8", "surrogatepass"))[:400].encode()
            headers = (*_headers(drawn, 0.1), (b"X-File-Name", name))
            picture = _picture(drawn)
            body = picture if drawn.random() < 0.2 else mutated(picture, drawn)
            return Asked("POST", "/api/images", headers, body)
        case _:
            return Asked(
                _of(METHODS, drawn), _of(PLACES, drawn), _headers(drawn, 0.8), drawn.bytes(9)
            )


def _headers(drawn: Generator, share: float) -> tuple[tuple[bytes, bytes], ...]:
    """Odd headers, each with some probability."""
    odd = {
        b"Origin": ORIGINS,
        b"Host": HOSTS,
        b"Content-Length": LENGTHS,
        b"Content-Type": (b"text/html", b"multipart/form-data; boundary=" + b"x" * 999, b"\xff"),
        b"Cookie": (b"a=" + b"b" * 3000, b";;;="),
        b"Accept-Encoding": (b"gzip;q=nan", b"*"),
    }
    return tuple(
        (name, _of(values, drawn)) for name, values in odd.items() if drawn.random() < share
    )


def _picture(drawn: Generator) -> bytes:
    size = (int(drawn.integers(2, 60)), int(drawn.integers(2, 60)), 3)
    stream = io.BytesIO()
    kind = _of(("PNG", "JPEG", "WEBP", "GIF", "BMP"), drawn)
    Image.fromarray(drawn.integers(0, 256, size, dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


def _of(values: Any, drawn: Generator) -> Any:
    return values[int(drawn.integers(len(values)))]
