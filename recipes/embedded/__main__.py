"""Make the embedded model from nothing: `python -m recipes.embedded`.

Every stage goes on from what the last run left in `recipes/embedded/work/`. Two stages train at
once, one core each: the vision tower on images, the decoder on text.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import retinoscope
from recipes.embedded.behaviour import find_behaviour
from recipes.embedded.card import write_card
from recipes.embedded.curves import draw_curves
from recipes.embedded.erasing import train_erasing
from recipes.embedded.evaluate import evaluate
from recipes.embedded.export import assemble, export, take_apart
from recipes.embedded.joining import train_joint
from recipes.embedded.language_model import train_language_model
from recipes.embedded.pool import render_pool
from recipes.embedded.sprites import draw_all
from recipes.embedded.things import train_things
from recipes.embedded.together import train_together
from recipes.embedded.vision import train_vision

WORK = Path(__file__).parent / "work"
PACKAGE = Path(retinoscope.__file__).parent
MODEL = PACKAGE / "models" / "embedded"


def sprites() -> None:
    """Fetch the icon sets and draw the atlases."""
    draw_all(WORK / "npm", PACKAGE / "data" / "scenes" / "sprites")


def pools() -> None:
    """Render the scenes for training and for the learning curves."""
    render_pool(WORK / "validation", 1000, seed=2, sprites="train")
    render_pool(WORK / "heldout", 1000, seed=3, sprites="heldout")
    render_pool(WORK / "train", 40_000, seed=1, sprites="train")


def parts() -> None:
    """Train tower and decoder at once, each in a process of its own with one thread."""
    command = [sys.executable, "-m", "recipes.embedded", "--threads", "1"]
    runs = [subprocess.Popen([*command, stage]) for stage in ("vision", "language")]
    if any([run.wait() for run in runs]):
        raise SystemExit("a part could not be trained; its error is above")


def vision() -> None:
    """Train the vision tower."""
    train_vision(WORK)


def language() -> None:
    """Train the decoder on text."""
    train_language_model(WORK)


def joint() -> None:
    """Join tower and decoder, and export what came of it into the work folder."""
    trained = train_joint(WORK)
    train_erasing(trained, WORK)
    export(assemble(trained.tower, trained.projector, trained.decoder), WORK / "joint")


def together() -> None:
    """Teach the tower about things, train every part at once, and export the model."""
    trained = take_apart(WORK / "joint")
    train_together(trained, train_things(trained.tower, WORK), WORK)
    export(assemble(trained.tower, trained.projector, trained.decoder), MODEL)


def measure() -> None:
    """Measure the exported model, draw the learning curves and write the card."""
    evaluate(MODEL)
    find_behaviour(MODEL)
    draw_curves()
    write_card(MODEL)


STAGES: dict[str, Callable[[], None]] = {
    stage.__name__: stage
    for stage in (sprites, pools, parts, vision, language, joint, together, measure)
}
DEFAULT = ("sprites", "pools", "parts", "joint", "together", "measure")


def main() -> None:
    """Run the stages named on the command line, or all of them in order."""
    parser = argparse.ArgumentParser(prog="python -m recipes.embedded", description=__doc__)
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], metavar="stage")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for stage in arguments.stages or DEFAULT:
        print(f"== {stage}", flush=True)
        STAGES[stage]()


if __name__ == "__main__":
    main()
