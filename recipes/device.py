"""Train everything on one machine in one call: `python -m recipes.device --seconds 540 ...`.

Renders scenes on all cores but four while one process trains on the device: the reference with the
pointed model, exported as soon as they are finished (`--train embedded`), or the variants behind
the reference's tower (`--train variants`). Whatever fails, the others go on, and what they wrote
stays.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

PACK_EVERY = 60.0
"""Seconds after which records are packed again, for a run that is never ended."""
WHOLE = 540
"""Seconds that the moments below are meant for; another length stretches all of them."""


@dataclass(frozen=True)
class Plan:
    """Seconds since the start.

    Attributes:
        parts: how long the parts of the embedded model are trained on their own.
        together: when the reference and the pointed model are finished.
        exported: when the pointed model is exported at the latest, finished or not.
        text: how long the variants' decoders are trained on text.
        images: when their training on images ends; what is left is for the last measures.
        rendered: when rendering ends.
        end: when everything is cut off.
    """

    parts: float = 56
    together: float = 312
    exported: float = 345
    text: float = 120
    images: float = 440
    rendered: float = 300
    end: float = 530


def plan(seconds: float) -> Plan:
    """Share out the seconds of a whole run."""
    return Plan(**{name: value * seconds / WHOLE for name, value in vars(Plan()).items()})


def start(name: str, arguments: list[str], logs: Path) -> subprocess.Popen:
    """Start one module of the recipes, its words into a file of their own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    stream = (logs / f"{name}.txt").open("w", encoding="utf-8")
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)


def pack_records(folder: Path, out: Path) -> None:
    """Put records and logs into one file."""
    with tarfile.open(out / ".records.tar.gz", "w:gz") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.suffix != ".npz":
                archive.add(file, file.relative_to(folder))
    (out / ".records.tar.gz").replace(out / "records.tar.gz")


def list_runs(given: argparse.Namespace, began: float, folder: Path) -> dict[str, list[str]]:
    """Return what is started, by its name: a module and its arguments."""
    at = plan(given.seconds)
    device = ["--device", given.device, "--threads", "1"]
    common = ["--work", str(given.work)]
    data = ["--texts", str(given.texts), "--measured", str(given.measured)]
    rendering = [*common, *data, "--images", str(given.capacity), "--workers", str(given.workers)]
    training = [*common, *data, *device, "--out", str(folder)]
    some = min(given.capacity, given.seen_by_variants)
    rendered = at.rendered if given.train == "embedded" else at.text
    listed = {
        "render": ["recipes.embedded.render", *rendering, "--seconds", f"{rendered:.1f}"],
        "embedded": [
            *("recipes.embedded.train", *training, "--capacity", str(given.capacity)),
            *("--parts-seconds", f"{at.parts:.1f}", "--parts-steps", "1000000"),
            *("--until", f"{began + at.together:.1f}", "--together-steps", "1000000"),
            *given.embedded.split(),
        ],
        "export": [
            *("recipes.embedded.export", *common, "--weights", str(folder / "pointed.npz")),
            *("--target", str(given.tower), "--after", str(given.work / "embedded" / "finished")),
            *("--until", f"{began + at.exported:.1f}"),
        ],
        "variants": [
            *("recipes.variants.run", *training, "--capacity", str(some)),
            *("--least-images", str(some // 3)),
            *("--text-seconds", f"{at.text:.1f}", "--text-steps", "1000000"),
            *("--until", f"{began + at.images:.1f}", "--image-steps", "1000000"),
            *(["--compile"] if given.compile else []),
            *given.variants.split(),
        ],
    }
    chosen = {"embedded": ("render", "embedded", "export"), "variants": ("render", "variants")}
    return {name: listed[name] for name in chosen[given.train]}


def main() -> None:
    """Run everything and wait for it."""
    given = _arguments()
    began = time.time()
    folder = given.work / "results"
    logs = folder / "log"
    logs.mkdir(parents=True, exist_ok=True)
    given.out.mkdir(parents=True, exist_ok=True)
    listed = list_runs(given, began, folder)
    runs = {name: start(name, arguments, logs) for name, arguments in listed.items()}
    ended: dict[str, int | None] = dict.fromkeys(runs)
    copied: dict[Path, float] = {}
    packed = began
    while None in ended.values() and time.time() - began < plan(given.seconds).end:
        time.sleep(0.5)
        ended = {name: run.poll() for name, run in runs.items()}
        _copy(folder, given.out, copied)
        if time.time() - packed > PACK_EVERY:
            packed = time.time()
            try:
                pack_records(folder, given.out)
            except OSError as error:
                # A file that changes meanwhile is packed the next time, and at the end.
                print(f"records were not packed: {error}", flush=True)
    for run in runs.values():
        if run.poll() is None:
            run.kill()
    _copy(folder, given.out, copied)
    pack_records(folder, given.out)
    for name, code in ended.items():
        print(f"== {name}: {'cut off' if code is None else code}")
        print("\n".join((logs / f"{name}.txt").read_text("utf-8").splitlines()[-given.tail :]))
    print(f"{time.time() - began:.1f}s in all", flush=True)
    (given.out / "ended.txt").write_text(
        "".join(f"{name}: {'cut off' if code is None else code}\n" for name, code in ended.items())
    )
    raise SystemExit(any(ended.values()) or None in ended.values())


def _copy(folder: Path, out: Path, copied: dict[Path, float]) -> None:
    """Copy weights that were written since the last time."""
    # Files that are still being written begin with a point.
    for file in folder.glob("[!.]*.npz"):
        written = file.stat().st_mtime
        if copied.get(file) != written:
            partial = out / f".{file.name}"
            partial.write_bytes(file.read_bytes())
            partial.replace(out / file.name)
            copied[file] = written


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m recipes.device", description=__doc__)
    parser.add_argument("--seconds", type=float, required=True, help="of the whole call")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--train", choices=("embedded", "variants"), default="embedded")
    parser.add_argument("--tower", type=Path, help="where the pointed model is exported")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 4))
    parser.add_argument("--capacity", type=int, default=50_000, help="scenes at most")
    parser.add_argument("--seen-by-variants", type=int, default=30_000, help="of the scenes")
    parser.add_argument("--texts", type=int, default=30_000)
    parser.add_argument("--measured", type=int, default=1000)
    parser.add_argument("--embedded", default="", help="more options of recipes.embedded.train")
    parser.add_argument("--variants", default="", help="more options of recipes.variants.run")
    parser.add_argument("--tail", type=int, default=25, help="lines of each log to print")
    return parser.parse_args()


if __name__ == "__main__":
    main()
