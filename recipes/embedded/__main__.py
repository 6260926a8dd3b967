"""Make the embedded model and the pointed one from nothing: `python -m recipes.embedded`.

Every stage goes on from what the last run left in `recipes/embedded/work/`. With a GPU,
`recipes.device` renders and trains at once and is much faster.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import retinoscope
from recipes.embedded.behaviour import find_behaviour
from recipes.embedded.card import write_card
from recipes.embedded.curves import draw_curves
from recipes.embedded.evaluate import evaluate
from recipes.embedded.export import export
from recipes.embedded.render import read_words
from recipes.embedded.sprites import draw_all
from recipes.embedded.together import embedded_shape
from recipes.stack.packing import unpack
from retinoscope.models.load import load
from retinoscope.models.mean import write_mean
from retinoscope.runs.mean import OWN_COUNT, SHIPPED_MEAN, mean_dataset, measured_mean
from retinoscope.runs.progress import Silent

WORK = Path(__file__).parent / "work"
PACKAGE = Path(retinoscope.__file__).parent
VARIANTS = Path(__file__).parents[2] / "variants" / "src" / "retinoscope_variants"
FOLDERS = {
    "reference": PACKAGE / "models" / "embedded",
    "pointed": VARIANTS / "pointed",
}
"""Where each model is shipped."""
TUNED = ("--steps", 1700, "--capacity", 6000, "--texts", 3000, "--kept", 0.5)
"""How the reference is trained further by `recipes.embedded.tune`."""


def sprites(given: argparse.Namespace) -> None:
    """Fetch the icon sets and draw the atlases."""
    draw_all(given.work / "npm", PACKAGE / "data" / "scenes" / "sprites")


def render(given: argparse.Namespace) -> None:
    """Write texts and scenes; a file that is there stays."""
    _run("render", "--work", given.work, "--images", given.images)


def train(given: argparse.Namespace) -> None:
    """Train both models, from the last checkpoint on."""
    extra = ["--compile"] if given.compile else []
    numbers = ("--device", given.device, "--threads", given.threads, "--capacity", given.images)
    _run("train", "--work", given.work, "--out", given.work / "results", *numbers, *extra)


def write(given: argparse.Namespace) -> None:
    """Write the folders that `transformers` loads from `results/` in the work folder."""
    words = read_words(given.work)
    for name, folder in FOLDERS.items():
        weights = unpack(given.work / "results" / f"{name}.npz")
        export(weights, embedded_shape(len(words.vocabulary)), words, folder)


def tune(given: argparse.Namespace) -> None:
    """Train the reference's projector and decoder further, from the last checkpoint on."""
    _run("tune", "colours", "--work", given.work, "--target", FOLDERS["reference"], *TUNED)


def measure(given: argparse.Namespace) -> None:
    """Measure what is shipped and its mean token, draw the learning curves and write the cards."""
    draw_curves()
    scenes = mean_dataset("embedded", None, OWN_COUNT, None)
    mean = measured_mean(load("embedded", device="cpu"), scenes, OWN_COUNT, Silent())
    write_mean(mean, FOLDERS["reference"].with_name(SHIPPED_MEAN))
    for name, folder in FOLDERS.items():
        evaluate(folder)
        find_behaviour(folder)
        write_card(name, folder)


STAGES: dict[str, Callable[[argparse.Namespace], None]] = {
    stage.__name__: stage for stage in (sprites, render, train, write, tune, measure)
}


def _run(module: str, *options: object) -> None:
    command = [sys.executable, "-m", f"recipes.embedded.{module}", *map(str, options)]
    subprocess.run(command, check=True)


def main() -> None:
    """Run the stages named on the command line, or all of them in order."""
    parser = argparse.ArgumentParser(prog="python -m recipes.embedded", description=__doc__)
    parser.add_argument("stages", nargs="*", choices=[*STAGES, []], metavar="stage")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--images", type=int, default=50_000, help="scenes to train on")
    given = parser.parse_args()
    for stage in given.stages or STAGES:
        print(f"== {stage}", flush=True)
        STAGES[stage](given)


if __name__ == "__main__":
    main()
