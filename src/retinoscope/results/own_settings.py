"""Own settings: what one experiment alone can be told, as one frozen dataclass in its folder.

The dataclass is the only place that lists them: what a run records of them, what it is named by and
what `retinoscope reproduce --set NAME.FIELD=VALUE` takes are all derived from its fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, TypeVar, get_origin, get_type_hints

import msgspec

from retinoscope.errors import RunError
from retinoscope.results.protocol import Protocol

NOTHING = "none"
"""How an empty tuple is typed."""


@dataclass(frozen=True)
class OwnSettings:
    """The settings of one experiment; as it stands, those of one that has none.

    A subclass is a frozen dataclass whose fields all have defaults: numbers, texts, booleans, or
    tuples of them. It checks them in `__post_init__` (`retinoscope.results.ranges`).
    """

    @classmethod
    def suited(cls, model: str, protocol: Protocol) -> OwnSettings:
        """Those that suit a model and a protocol: the defaults, where a subclass says no more.

        Args:
            model: "embedded", or any other model.
            protocol: which choices of the original code are repeated.
        """
        return cls()


Own = TypeVar("Own", bound=OwnSettings)


def recorded(settings: Any) -> dict[str, Any]:
    """The values of any frozen dataclass of settings, as they stand in a manifest.

    Args:
        settings: a dataclass; each of its fields is recorded.
    """
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(settings).items()
    }


def typed(settings: Own, texts: Mapping[str, str]) -> Own:
    """Settings, with some fields as they were typed: tuples by commas, or "none".

    Args:
        settings: what the others are.
        texts: field -> value, such as {"sizes": "5,10"}.

    Raises:
        RunError: there is no such field, or the value is not of its type or out of its range.
    """
    hints = {field.name: get_type_hints(type(settings))[field.name] for field in fields(settings)}
    unknown = [name for name in texts if name not in hints]
    if unknown:
        raise RunError(
            f"There is no setting {', '.join(unknown)}; choose from {', '.join(hints) or 'none'}."
        )
    return replace(settings, **{name: _value(name, hints[name], texts[name]) for name in texts})


def shown(kind: type[OwnSettings]) -> dict[str, str]:
    """Every field of own settings with its default, as it is typed."""
    return {field.name: _text(_default(field)) for field in fields(kind)}


def without_default(kind: type[OwnSettings]) -> list[str]:
    """The fields that have no default."""
    return [field.name for field in fields(kind) if _default(field) is MISSING]


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or NOTHING
    return str(value)


def _value(name: str, hint: Any, text: str) -> Any:
    given: Any = text
    if get_origin(hint) is tuple:
        given = [] if text == NOTHING else [part.strip() for part in text.split(",")]
    try:
        return msgspec.convert(given, hint, strict=False)
    except msgspec.ValidationError as error:
        raise RunError(f"The setting {name} can't be {text!r}: {error}.") from error
