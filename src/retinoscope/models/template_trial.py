"""Whether a chat template ends: tried in a process with limits before it is filled in this one.

A checkpoint's template is a program of somebody else's. Jinja's sandbox keeps it from everything
but time and memory: two nested loops go on for years, one line doubles a text till all memory is
gone, and `10 ** (10 ** 9)` is one step that nothing within a process can stop.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import Any

from retinoscope.errors import ModelError

SECONDS, MEMORY, LETTERS = 20, 2**30, 2**22
"""What filling a template may take, in processor time, bytes and text: real ones take milliseconds
and kilobytes."""

CHILD = Path(__file__).with_name("template_child.py")


def check_ends(name: str, template: str, turn: dict[str, Any], tokens: dict[str, Any]) -> None:
    """Make sure that a chat template ends for a prompt, within limits of time and memory.

    Args:
        name: the model's, for the error.
        template: in Jinja.
        turn: the user's, as chat templates take it.
        tokens: the tokenizer's special tokens by name.

    Raises:
        ModelError: it does not.
    """
    if os.name != "posix":
        return  # without signals and limits a process can't be bounded so
    asked = {"conversations": [[turn]], "chat_template": template, "add_generation_prompt": True}
    outcome = _trials().outcome(json.dumps({**tokens, **asked}, default=str))
    if outcome != "ended":
        raise ModelError(
            f"The chat template of {name} can't be filled: it takes more than {SECONDS} s, "
            f"{MEMORY // 2**20:,} MB or {LETTERS:,} letters; mend it, or save the processor "
            "without one."
        )


class _Trials:
    """The process, begun when it is first needed and again when a template has ended it."""

    def __init__(self) -> None:
        self._lock, self._process = Lock(), _begun()

    def outcome(self, line: str) -> str:
        """How filling one prompt ended; "" where the process ended with it."""
        with self._lock:
            if self._process.poll() is not None:
                self._process = _begun()
            told = _exchanged(self._process, line)
            if not told:
                self.end()
        return told

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@functools.cache
def _trials() -> _Trials:
    trials = _Trials()
    atexit.register(trials.end)
    return trials


def _begun() -> subprocess.Popen[str]:
    # -P: the folder of the script, whose modules have common names, is no place to import from.
    command = [sys.executable, "-P", str(CHILD), str(SECONDS), str(MEMORY), str(LETTERS)]
    # A session of its own: Ctrl-C is for this process, and the trial ends with its input.
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        process.kill()
        process.communicate()
        raise ModelError(f"{CHILD.name}, which tries chat templates, can't be started.")
    return process


def _exchanged(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline().strip()
