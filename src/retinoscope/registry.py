"""What can be added without a change here: families, tasks, data sources and experiments.

Each kind has a package of its own, and an entry point group of the same name under which any
installed distribution can bring more:

    [project.entry-points."retinoscope.experiments"]
    colour = "my_package.colour:EXPERIMENT"
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from importlib import metadata
from typing import Any, TypeVar

from retinoscope.errors import RegistrationError

T = TypeVar("T")


def members(package: str, constant: str, *, folders: bool = False) -> list[Any]:
    """The constant of that name in every module of a package, by the modules' names.

    Args:
        package: the package's full name.
        constant: such as "FAMILY".
        folders: look into the package's folders alone, not its single files.
    """
    found = importlib.import_module(package)
    modules = [m for m in pkgutil.iter_modules(found.__path__) if m.ispkg or not folders]
    named = [importlib.import_module(f"{package}.{module.name}") for module in modules]
    return [getattr(module, constant) for module in named if hasattr(module, constant)]


def registered(group: str, kind: type[T], own: Iterable[T]) -> tuple[T, ...]:
    """What the package has of a kind, then what installed distributions bring.

    Args:
        group: the entry points' group, such as "retinoscope.experiments".
        kind: what an entry point of it must name: an object of this class, whose `name` is its
            own.
        own: the package's.

    Raises:
        RegistrationError: an entry point can't be loaded or names something else, or a name is
            taken twice.
    """
    found = list(own)
    taken: dict[str, str] = {_name(one): "retinoscope" for one in found}
    for point in sorted(metadata.entry_points(group=group), key=lambda point: point.value):
        brought = _loaded(point, kind)
        name = _name(brought)
        if name in taken:
            raise RegistrationError(
                f"{point.value} brings {name!r} to {group}, but {taken[name]} has that name. "
                "Rename it, or uninstall one of the two."
            )
        taken[name] = point.value
        found.append(brought)
    return tuple(found)


def load(address: str) -> Any:
    """What an address "package.module:name" means.

    Raises:
        RegistrationError: there is no such module or name in it.
    """
    module, _, name = address.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RegistrationError(
            f"{address!r} can't be loaded ({error}); expected an importable module and a name in "
            'it, such as "my_package.colour.measure:measure".'
        ) from error


def _loaded(point: metadata.EntryPoint, kind: type[T]) -> T:
    brought = load(point.value)
    if not isinstance(brought, kind):
        raise RegistrationError(
            f"{point.value} is registered under {point.group}, where a {kind.__name__} is "
            f"expected; it is {type(brought).__name__}. Correct the entry point, or uninstall "
            f"{point.dist.name if point.dist else 'its distribution'}."
        )
    return brought


def _name(one: Any) -> str:
    return one.name
