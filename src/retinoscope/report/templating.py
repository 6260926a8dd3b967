"""Pages from templates: one file that needs nothing else, in which data can never become markup.

Templates escape every value. Data for scripts goes in as JSON whose `<`, `>`, `&` and line
separators are escaped. The page's own scripts are allowed by their hash in a content security
policy that forbids all others and every request, so that markup that slipped through would still
do nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def fill(template: str, scripts: Sequence[str], styles: Sequence[str], **values: Any) -> str:
    """Fill a template into a self-contained page.

    Args:
        template: file name under `templates`.
        scripts: script files under `templates`, in the order in which they run.
        styles: style sheets under `templates`.
        **values: what the template shows; text is escaped.

    Returns:
        The page; text that UTF-8 can hold (lone surrogates become U+FFFD).
    """
    codes = [_source(name) for name in scripts]
    page = (
        _environment()
        .get_template(template)
        .render(
            policy=_policy(codes),
            scripts=[Markup(code) for code in codes],
            style=Markup("\n".join(_source(name) for name in styles)),
            **values,
        )
    )
    return page.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def script_json(value: Any) -> Markup:
    """A value as JSON that may stand in a `<script type="application/json">` element."""
    return Markup(json.dumps(value, ensure_ascii=True, allow_nan=False).translate(_ESCAPES))


def data_uri(kind: str, content: bytes) -> str:
    """Content as a `data:` address, for pictures and downloads that travel with the page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _policy(scripts: Sequence[str]) -> str:
    digests = [
        base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in scripts
    ]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )


def _unbroken(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return text.replace(" %", "\u00a0%")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("retinoscope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    return environment


@cache
def _source(name: str) -> str:
    loader = _environment().loader
    assert loader is not None  # set just above
    return loader.get_source(_environment(), name)[0]
