"""What is in a file, as a hash: SHA-256 of its bytes, remembered while the file stays as it is."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import msgspec
import platformdirs

ABSENT, UNREADABLE = "absent", "unreadable"
"""In place of the hash of a file that is not there, or that can't be read."""

SETTLED = 2.0
"""Seconds after its last change from which on a file's hash is remembered: a file that changes
twice within the resolution of its file system's clock shows the same times."""

AT_ONCE = 4096
"""Files that wait to be read at a time."""

THREADS = min(8, os.cpu_count() or 1)


class _Seen(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file as it was when its bytes were read: every mark of a change that costs nothing."""

    size: int
    modified: int
    changed: int
    node: int
    sha256: str


def content_hashes(paths: Iterable[Path]) -> dict[Path, str]:
    """The hash of each file's bytes, several at a time.

    What was read once is remembered in the user's cache, for as long as a file's size, its times
    of change and its place on the disk are the same, so that a hundred thousand images are taken
    in within seconds from the second time on. The cache may be deleted at any time.

    Args:
        paths: the files.

    Returns:
        64 hexadecimal digits for each path; ABSENT or UNREADABLE for a file that can't be read.
    """
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(paths):
        folders[path.parent].append(path)
    found: dict[Path, str] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for folder, listed in folders.items():
            memory = _memory(folder)
            known = _remembered(memory)
            seen = [known.get(path.name) for path in listed]
            read: list[tuple[str, _Seen | None]] = []
            # Each waits in the pool with a kilobyte of its own: never all of them at once.
            for begin in range(0, len(listed), AT_ONCE):
                some = slice(begin, begin + AT_ONCE)
                read += pool.map(_hash, listed[some], seen[some])
            found |= {path: content for path, (content, _) in zip(listed, read, strict=True)}
            new = {p.name: now for p, (_, now) in zip(listed, read, strict=True) if now is not None}
            if any(known.get(name) != now for name, now in new.items()):
                _remember(memory, known | new)
    return found


def _hash(path: Path, before: _Seen | None) -> tuple[str, _Seen | None]:
    """The hash of a file's bytes, and what to remember of it, if its times can be trusted."""
    try:
        if path.exists() and not path.is_file():
            # A pipe or a device could be read for ever.
            return UNREADABLE, None
        with path.open("rb") as file:
            marks = _marks(file.fileno())
            if before is not None and marks == _without_hash(before):
                return before.sha256, before
            now = time.time()
            content = hashlib.file_digest(file, "sha256").hexdigest()
            size, modified, changed, node = marks
            settled = max(modified, changed) < (now - SETTLED) * 1e9
            if not settled or _marks(file.fileno()) != marks:
                return content, None
            return content, _Seen(size, modified, changed, node, content)
    except FileNotFoundError:
        return ABSENT, None
    except OSError:
        return UNREADABLE, None


def _marks(file: int) -> tuple[int, int, int, int]:
    status = os.fstat(file)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _without_hash(seen: _Seen) -> tuple[int, int, int, int]:
    return seen.size, seen.modified, seen.changed, seen.node


def _memory(folder: Path) -> Path:
    """Where the hashes of a folder's files are remembered."""
    place = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:24]
    return Path(platformdirs.user_cache_dir("retinoscope")) / "contents" / f"{place}.msgpack"


def _remembered(memory: Path) -> dict[str, _Seen]:
    """What is remembered; nothing where it is damaged, so that the files are read again."""
    try:
        check, _, payload = memory.read_bytes().partition(b"\n")
        if check != _check(payload):
            return {}
        return msgspec.msgpack.decode(payload, type=dict[str, _Seen])
    except (OSError, msgspec.DecodeError):
        return {}


def _remember(memory: Path, known: dict[str, _Seen]) -> None:
    """Write the memory, whole or not at all; where it can't be written, files are read again."""
    payload = msgspec.msgpack.encode(known)
    with suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=memory.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(_check(payload) + b"\n" + payload)
        os.replace(temporary, memory)


def _check(payload: bytes) -> bytes:
    return hashlib.sha256(payload).hexdigest().encode()
