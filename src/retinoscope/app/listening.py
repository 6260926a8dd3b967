"""Listening: the socket, the address and the server's loop."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from retinoscope.app.server import LOOPBACK, create_app
from retinoscope.app.session import Session
from retinoscope.errors import RunError


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at an address, taken before the model is loaded so that a clash is told at once.

    Raises:
        RunError: the address can't be had.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise RunError(f"{host}:{port} is not an address to listen on ({error}).") from error
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(place)
        except OSError as error:
            raise RunError(
                f"Port {port} of {host} can't be had ({error}); choose another with --port, or "
                "--port 0 for any free one."
            ) from error
        yield listening


def address(listening: socket.socket) -> str:
    """Where a browser on this machine finds it."""
    host, port = listening.getsockname()[:2]
    place = ipaddress.ip_address(host)
    if place.is_unspecified:
        return f"http://localhost:{port}/"
    return f"http://[{host}]:{port}/" if place.version == 6 else f"http://{host}:{port}/"


def impatient(seconds: float) -> type[H11Protocol]:
    """The protocol of connections that are closed if no whole request comes in time.

    uvicorn waits for ever for a connection's first request, so that whoever opens many and says
    nothing would hold them all.
    """

    class Impatient(H11Protocol):
        """Closes a connection that stays silent."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(seconds, self._give_up)

        def _give_up(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    return Impatient


def server(session: Session, listening: socket.socket) -> uvicorn.Server:
    """The server of a session, to be run with `run(sockets=[listening])`.

    On the loopback only loopback names are answered. Whoever listens elsewhere has chosen to be
    found under names that can't be known here.
    """
    place = ipaddress.ip_address(listening.getsockname()[0])
    app = create_app(session, hosts=LOOPBACK if place.is_loopback else ("*",))
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            ws="none",
            http=impatient(session.limits.idle_seconds),
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
            server_header=False,
        )
    )
