"""Fills chat templates in a process of its own, which a template that explodes ends alone.

Run as a script by `retinoscope.models.template_trial`, and never imported: it must start without
torch. Each line of its input is a prompt as JSON; each line of its output says how that ended.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template


def main(seconds: int, memory: int, letters: int) -> None:
    """Fill what comes, until nothing more does.

    Args:
        seconds: of processor time, after which a prompt is given up, and this process with it.
        memory: bytes that a prompt may take.
        letters: most letters of a prompt.
    """
    print("ready", flush=True)
    pages = Path("/proc/self/statm")
    if pages.exists():
        taken = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory, resource.RLIM_INFINITY))
    for line in sys.stdin:
        # The signal ends the process in whatever it is doing; no handler would be called within
        # one long step such as 10 ** (10 ** 9). What counts is its own time: others' is no fault.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            filled, _ = render_jinja_template(**json.loads(line))
            outcome = "too long" if len(filled[0]) > letters else "ended"
        except MemoryError:
            outcome = "too large"
        except Exception:
            # It ended; what is wrong is told where it is filled in earnest.
            outcome = "ended"
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(outcome, flush=True)


if __name__ == "__main__":
    try:
        main(*map(int, sys.argv[1:]))
    except BrokenPipeError:
        os._exit(0)  # the process that asked is gone; nobody listens any more
