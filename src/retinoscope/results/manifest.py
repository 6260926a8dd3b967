"""What was run: `manifest.json` of a run folder."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from retinoscope.errors import DamagedError, RunError
from retinoscope.results.atomic import replacing

STATUSES = ("running", "interrupted", "complete")
"""The states of a run. A run that was killed stays "running"."""

_THEN = ", then "

_PACKAGES = ("retinoscope", "torch", "transformers", "numpy", "polars", "pillow")


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights were looked into.

    Attributes:
        name: hub name or folder, or "embedded".
        revision: hub commit or version; "" where there is none.
        files: file name -> SHA-256 in hexadecimal.
    """

    name: str
    revision: str
    files: Mapping[str, str]


@dataclass(frozen=True)
class Manifest:
    """What was run, on what and when, and how it went.

    Attributes:
        command: the command line, as typed.
        name: the run's name.
        configuration: every choice that shapes the numbers, as JSON values.
        key: `configuration_key(configuration)`.
        model: the model's identity.
        data: what the samples are ("spec", "fingerprint", sizes, ...), as JSON values.
        seeds: purpose -> seed.
        versions: package -> version; "2.12.0, then 2.13.0" where sittings had several.
        machine: "system", "processor", "cores", "python", ...
        started, finished: UTC times in ISO 8601; finished is "" until it is.
        seconds: time spent, all sittings together.
        counts: what was counted on the way ("images", "objects", "kept", ...), in the order in
            which it should be read.
        skipped: reason -> how many samples or conditions were not measured for it.
        status: one of STATUSES.
    """

    command: str
    name: str
    configuration: Mapping[str, Any]
    key: str
    model: ModelIdentity
    data: Mapping[str, Any]
    seeds: Mapping[str, int]
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    started: str
    finished: str
    seconds: float
    counts: Mapping[str, int]
    skipped: Mapping[str, int]
    status: str


def configuration_key(configuration: Mapping[str, Any]) -> str:
    """A short stable name of a configuration: SHA-256 of its sorted JSON, 16 hexadecimal digits.

    Raises:
        TypeError: a value is not a JSON value.
    """
    text = json.dumps(configuration, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def installed_versions() -> dict[str, str]:
    """Versions of the packages that can change a number, without importing them."""
    known = {}
    for package in _PACKAGES:
        try:
            known[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            known[package] = "not installed"
    return known


def versions_of_sittings(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Versions of a run that was resumed: "2.12.0, then 2.13.0" where one has changed.

    Args:
        before: package -> version, or versions, of the sittings before.
        now: package -> version of this one.
    """
    return {
        package: known if known.rpartition(_THEN)[2] == version else f"{known}{_THEN}{version}"
        for package, version in now.items()
        for known in (before.get(package, version),)
    }


def changed_versions(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What this sitting has in another version than the one before: "torch 2.12.0, now 2.13.0"."""
    last = {package: known.rpartition(_THEN)[2] for package, known in before.items()}
    return [
        f"{package} {last[package]}, now {version}"
        for package, version in now.items()
        if last.get(package, version) != version
    ]


def this_machine() -> dict[str, str]:
    """System, processor, cores and Python of this machine; nothing that names it or its user."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": platform.machine(),
        "cores": str(os.cpu_count() or "unknown"),
        "python": platform.python_version(),
    }


def write_manifest(run: Path, manifest: Manifest) -> None:
    """Write `manifest.json`, whole or not at all.

    Raises:
        RunError: the folder can't be written.
        ValueError: the status is none of STATUSES.
    """
    if manifest.status not in STATUSES:
        raise ValueError(f"status is one of {', '.join(STATUSES)}, not {manifest.status!r}")
    values = json.loads(json.dumps(asdict(manifest), allow_nan=False))
    text = json.dumps(values | {"checksum": _checksum(values)}, indent=2)
    with replacing(run / "manifest.json") as stream:
        stream.write(text.encode() + b"\n")


def read_manifest(run: Path) -> Manifest:
    """Read `manifest.json`.

    Raises:
        RunError: there is none (not a run folder), or it is of another version.
        DamagedError: its values are not those that were written.
    """
    path = run / "manifest.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        missing = {"checksum", *(field.name for field in fields(Manifest))} - set(values)
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        checksum = values.pop("checksum")
        if checksum != _checksum(values):
            raise ValueError("its values are not those that were written")
        # A file of another hand may have the checksum of what is no manifest.
        return msgspec.convert(values, Manifest)
    except FileNotFoundError as error:
        raise RunError(
            f"{run} is not a run folder: it has no manifest.json. Give the folder that "
            "`retinoscope reproduce` printed (runs/<name>)."
        ) from error
    except OSError as error:
        raise RunError(f"can't read {path}: {error}.") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(
            f"{path} is damaged, was changed by hand, or is of another version ({error}). Copy it "
            "again from where it is whole; or delete it and give the run's command again with the "
            "same --out, which keeps what was measured under the same options."
        ) from error


def check_same(run: Path, configuration: Mapping[str, Any]) -> None:
    """Make sure that a run folder is new or of this very configuration.

    Raises:
        RunError: it belongs to another configuration; the message names what differs.
    """
    if not (run / "manifest.json").exists():
        return
    there = _flat(read_manifest(run).configuration)
    here = _flat(json.loads(json.dumps(configuration)))
    differing = [
        f"{name} (there {_shown(there, name)}, now {_shown(here, name)})"
        for name in sorted(there.keys() | here.keys())
        if _shown(there, name) != _shown(here, name)
    ]
    if differing:
        raise RunError(
            f"{run} belongs to another run; different are: {'; '.join(differing)}. Give another "
            "folder with --out, or the same options as before to resume it."
        )


def _checksum(values: Mapping[str, Any]) -> str:
    """SHA-256 of values as sorted JSON; spaces and line ends in the file are no matter."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _shown(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name]) if name in values else "absent"
