"""Guard: headers that keep a page to itself, and requests from other pages kept out."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware: adds HEADERS to every answer; refuses what another site's page sends.

    It also bounds the requests at work at a time; more are answered with 503.
    """

    def __init__(self, app: ASGIApp, requests: int) -> None:
        """Stand before an application.

        Args:
            app: the application.
            requests: most requests at a time.
        """
        self._app, self._room = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if _foreign(Headers(scope=scope)):
            told = "This request comes from another site's page; open the explorer itself."
            await _refusal(told, 403)(scope, receive, guarded)
        elif not self._room:
            await _refusal("The explorer is busy; try again.", 503)(scope, receive, guarded)
        else:
            self._room -= 1
            try:
                await self._app(scope, receive, guarded)
            finally:
                self._room += 1


def _refusal(message: str, status: int) -> ASGIApp:
    return JSONResponse({"event": "error", "kind": "Refused", "message": message}, status)


def _foreign(headers: Headers) -> bool:
    """Whether a browser says that another origin's page sent this."""
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host")
    except ValueError:
        # No browser sends such an origin.
        return True
