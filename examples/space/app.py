"""The explorer, for a Hugging Face Space: any host name, and shown in a frame of huggingface.co."""

from __future__ import annotations

import os

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retinoscope.app import create_app
from retinoscope.app.session import open_session

FRAME = "frame-ancestors https://huggingface.co"


def space() -> ASGIApp:
    """The application; the model is that of the variable MODEL."""
    session = open_session(os.environ.get("MODEL", "embedded"))
    # A Space is called by a name that isn't known here.
    return framed(create_app(session, hosts=("*",)))


def framed(app: ASGIApp) -> ASGIApp:
    """Let the Space's page on huggingface.co show the explorer in a frame; nobody else may."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        async def allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                policy = headers["Content-Security-Policy"]
                headers["Content-Security-Policy"] = policy.replace("frame-ancestors 'none'", FRAME)
            await send(message)

        await app(scope, receive, allowed if scope["type"] == "http" else send)

    return answered
