"""`--set NAME.FIELD=VALUE`: the own settings of any experiment, taken from what is registered."""

from __future__ import annotations

from collections.abc import Sequence

from retinoscope.errors import RunError
from retinoscope.results.experiment import experiments
from retinoscope.results.own_settings import OwnSettings, shown, typed
from retinoscope.results.protocol import Protocol


def settable() -> str:
    """Every setting of every experiment with its default, for --help."""
    every = ", ".join(
        f"`{name}.{field}={default}`"
        for name, one in experiments().items()
        for field, default in shown(one.settings).items()
    )
    return (
        "A setting of one experiment, as often as wanted; several values by commas, or `none`. "
        f"With their defaults: {every}."
    )


def own_settings(changed: Sequence[str], model: str, protocol: Protocol) -> dict[str, OwnSettings]:
    """The own settings of the experiments that were named.

    Args:
        changed: such as ["knockout.sweeps=layer"].
        model: "embedded", or any other model.
        protocol: which choices of the original code are repeated.

    Raises:
        RunError: there is no such experiment or setting, one is given twice, or its value is
            wrong.
    """
    texts: dict[str, dict[str, str]] = {}
    for text in changed:
        place, equals, value = text.partition("=")
        name, dot, field = place.strip().partition(".")
        if not (equals and dot and name in experiments()):
            raise RunError(
                f"--set {text}: expected NAME.FIELD=VALUE with the name of an experiment "
                f"({', '.join(experiments())}), such as knockout.sweeps=layer."
            )
        if field in texts.setdefault(name, {}):
            raise RunError(f"--set {name}.{field} was given twice; give it once.")
        texts[name][field] = value.strip()
    return {
        name: typed(experiments()[name].settings.suited(model, protocol), fields)
        for name, fields in texts.items()
    }
