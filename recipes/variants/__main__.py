"""Make the variants and their study, stage by stage: `python -m recipes.variants`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

RENDERED = Path("recipes/embedded/work")
WORK = Path("recipes/variants/work")
STAGES = ("render", "train", "records", "export", "study")


def command(stage: str, given: argparse.Namespace) -> list[str]:
    """The command line of a stage, without Python itself."""
    match stage:
        case "render":
            return ["recipes.embedded.render", "--work", str(given.rendered)]
        case "train":
            seeds = [] if given.seeds is None else ["--seeds", str(given.seeds)]
            where = ["--work", str(given.rendered), "--out", str(given.work)]
            return ["recipes.variants.run", *where, "--device", given.device, *seeds]
        case "records":
            return ["recipes.variants.tables", str(given.work)]
        case "export":
            return ["recipes.variants.export", str(given.work)]
    return ["recipes.variants.study"]


def main() -> None:
    """Run the stages one after the other; stop at the first that fails."""
    parser = argparse.ArgumentParser(prog="python -m recipes.variants", description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, help="of every variant; else what each names")
    parser.add_argument("--rendered", type=Path, default=RENDERED)
    parser.add_argument("--work", type=Path, default=WORK)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--from", dest="first", choices=STAGES, default=STAGES[0])
    which.add_argument("--only", choices=STAGES)
    given = parser.parse_args()
    chosen = (given.only,) if given.only else STAGES[STAGES.index(given.first) :]
    for stage in chosen:
        line = command(stage, given)
        print("==", " ".join(line), flush=True)
        subprocess.run([sys.executable, "-m", *line], check=True)


if __name__ == "__main__":
    main()
