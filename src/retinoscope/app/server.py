"""The explorer's web server: routes, and how errors are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from retinoscope.app.about import about
from retinoscope.app.asking import intervene, look
from retinoscope.app.export import export
from retinoscope.app.guard import HEADERS, Guard
from retinoscope.app.overlay import overlay
from retinoscope.app.pictures import read_upload
from retinoscope.app.reading import read
from retinoscope.app.requests import Export, Intervene, Look, Overlay, Read, Select
from retinoscope.app.selecting import select
from retinoscope.app.session import Session, find_picture
from retinoscope.app.static_files import static_files
from retinoscope.app.streaming import UNEXPECTED, failure, stream
from retinoscope.app.turns import Busy, Turns
from retinoscope.errors import RetinoscopeError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")

VERBS: dict[str, tuple[type[Any], Callable[..., Any]]] = {
    "look": (Look, look),
    "select": (Select, select),
    "intervene": (Intervene, intervene),
    "read": (Read, read),
    "overlay": (Overlay, overlay),
    "export": (Export, export),
}
"""What a browser may ask of the model: POST /api/<verb> with the request as JSON."""

log = logging.getLogger("retinoscope.app")


def create_app(session: Session, *, hosts: tuple[str, ...] = LOOPBACK) -> Starlette:
    """The web application over a session.

    Args:
        session: the model and its pictures.
        hosts: names by which a browser may call it; another name is refused, so that a page
            elsewhere can't reach a loopback server through a name of its own (DNS rebinding).
            ("*",) takes any.
    """
    turns = Turns(session.limits.waiting)
    decoding = asyncio.Semaphore(session.limits.decoding)
    pages = static_files()

    async def page(request: Request) -> Response:
        found = pages.get(request.path_params.get("name", "index.html"))
        if found is None:
            raise HTTPException(404, "There is no such page here.")
        return Response(found.body, media_type=found.media_type)

    async def model(_: Request) -> Response:
        return _json(about(session))

    async def upload(request: Request) -> Response:
        limits = session.limits
        data = await _body(request, limits.upload_bytes, limits.upload_seconds)
        title = unquote(request.headers.get("x-file-name", "image"))
        async with decoding:
            picture = await run_in_threadpool(read_upload, data, title, limits)
        session.uploads.put(picture.key, picture)
        return _json({"key": picture.key, "title": picture.title, "size": picture.image.size})

    async def image(request: Request) -> Response:
        picture = find_picture(session, request.path_params["key"])
        return Response(picture.shown, media_type="image/png")

    async def ask(request: Request) -> Response:
        kind, verb = VERBS.get(request.path_params["verb"], (None, None))
        if kind is None or verb is None:
            raise HTTPException(404, "There is no such question.")
        body = await _body(request, session.limits.body_bytes, session.limits.upload_seconds)
        asked = _understood(body, kind)
        lines = stream(turns, partial(verb, session, asked))
        return StreamingResponse(lines, media_type="application/x-ndjson")

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        turns.close()

    return Starlette(
        routes=[
            Route("/", page),
            Route("/static/{name}", page),
            Route("/api/model", model),
            Route("/api/images", upload, methods=["POST"]),
            Route("/api/images/{key}", image),
            Route("/api/{verb}", ask, methods=["POST"]),
        ],
        middleware=[
            Middleware(Guard, requests=session.limits.requests),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        ],
        exception_handlers={
            RetinoscopeError: _refused,
            msgspec.DecodeError: _misunderstood,
            HTTPException: _http,
            ClientDisconnect: _gone,
            Exception: _unexpected,
        },
        lifespan=life,
    )


async def _body(request: Request, limit: int, seconds: float) -> bytes:
    """A request's body, given up as soon as it is too long or too slow.

    Raises:
        HTTPException: 413 or 408.
    """
    too_long = HTTPException(
        413, f"That is more than the {limit / 2**20:.3g} MB that are accepted; give a smaller file."
    )
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limit:
        raise too_long
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                received += chunk
                if len(received) > limit:
                    raise too_long
    except TimeoutError as error:
        raise HTTPException(408, "The request took too long to arrive; try again.") from error
    return bytes(received)


def _understood(body: bytes, kind: type[Any]) -> Any:
    """What a browser asks.

    Raises:
        msgspec.DecodeError: it is no JSON, or not of that kind.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"a text in it is not UTF-8 ({error.reason})") from error


def _json(content: Any, status: int = 200, **headers: str) -> Response:
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RetinoscopeError)
    if isinstance(error, Busy):
        return _json(failure(error), 503, **{"Retry-After": "2"})
    return _json(failure(error), 422)


async def _misunderstood(_: Request, error: Exception) -> Response:
    message = f"The request is not one that the explorer understands: {error}."
    return _json({"event": "error", "kind": "Misunderstood", "message": message}, 400)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = {"event": "error", "kind": "Refused", "message": error.detail}
    return _json(told, error.status_code)


async def _gone(_: Request, __: Exception) -> Response:
    """What nobody reads: the browser left before its request had arrived."""
    return Response(status_code=400)


async def _unexpected(_: Request, error: Exception) -> Response:
    log.error("A request failed", exc_info=error)
    return JSONResponse(
        {"event": "error", "kind": "Unexpected", "message": UNEXPECTED}, 500, HEADERS
    )
