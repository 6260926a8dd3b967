"""Where the explorer listens, and what it says when it can't."""

from __future__ import annotations

import socket

import pytest
from starlette.applications import Starlette
from typer.testing import CliRunner

from retinoscope.app.listening import address, bound, server
from retinoscope.cli.main import commands
from retinoscope.errors import RunError


def test_a_port_that_is_taken_is_told():
    with bound("127.0.0.1", 0) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(RunError, match="--port"), bound("127.0.0.1", port):
            pass


def test_a_name_that_is_no_address_is_told():
    with pytest.raises(RunError, match="not an address"), bound("no.such.host.invalid", 80):
        pass


@pytest.mark.parametrize(
    ("host", "url"), [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://localhost:")]
)
def test_the_address_is_one_that_a_browser_can_open(host, url):
    with bound(host, 0) as listening:
        assert address(listening) == f"{url}{listening.getsockname()[1]}/"


def test_the_address_of_ipv6_has_brackets():
    if not socket.has_ipv6:
        pytest.skip("This machine has no IPv6.")
    try:
        with bound("::1", 0) as listening:
            assert address(listening).startswith("http://[::1]:")
    except RunError:
        pytest.skip("This machine has no IPv6 loopback.")


@pytest.mark.parametrize(("host", "any_name"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_other_names_are_answered_only_off_the_loopback(session, host, any_name):
    with bound(host, 0) as listening:
        app = server(session, listening).config.app
    assert isinstance(app, Starlette)
    allowed = [layer.kwargs.get("allowed_hosts") for layer in app.user_middleware]
    assert (["*"] in allowed) == any_name


def test_without_the_extra_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr("retinoscope.cli.serve.find_spec", lambda name: None)
    done = CliRunner().invoke(commands, ["serve"])
    assert isinstance(done.exception, RunError)
    assert "retinoscope[app]" in str(done.exception)
