"""One training stage: steps, a learning curve in CSV, and checkpoints it goes on from."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from recipes.embedded.optimise import Optimiser

CHECKPOINT_EVERY = 100
LOG_EVERY = 20


def _forget_after(log: Path, step: int) -> None:
    """Drop rows of steps that will be taken again."""
    head, *rows = log.read_text("utf-8").splitlines()
    kept = [row for row in rows if int(row.split(",")[0]) <= step]
    log.write_text("\n".join([head, *kept]) + "\n", "utf-8")


def train_stage(
    name: str,
    model: nn.Module,
    optimiser: Optimiser,
    loss_of: Callable[[int], Tensor],
    folder: Path,
    measure: Callable[[], dict[str, float]] | None = None,
    until: int | None = None,
) -> float:
    """Train to the end of the optimiser's schedule, going on from a checkpoint if there is one.

    Args:
        name: names the checkpoint and the log.
        model: what is saved and restored.
        optimiser: takes the steps.
        loss_of: the loss of a step; it draws its batch from the step's number alone, so that an
            interrupted stage goes on as if it had not been.
        folder: where checkpoints lie; curves go to `log/` beside this file.
        measure: measures quality now and then, for the log.
        until: stop after this many steps, before the optimiser's schedule ends.

    Returns:
        Minutes spent in all, interruptions not counted.
    """
    checkpoint = folder / f"{name}.stage.pt"
    log = Path(__file__).parent / "log" / f"{name}.csv"
    first, spent = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first, spent = state["step"], state["seconds"]
        _forget_after(log, first)
    else:
        log.parent.mkdir(exist_ok=True)
        log.write_text("step,seconds,loss,measures\n", "utf-8")
    start, total, counted = time.monotonic() - spent, 0.0, 0
    last = until or optimiser.steps
    for step in range(first, last):
        loss = loss_of(step)
        optimiser.step(loss, step)
        total, counted = total + loss.item(), counted + 1
        done = step + 1 == last
        if (step + 1) % LOG_EVERY == 0 or done:
            measures = measure() if measure and ((step + 1) % 200 == 0 or done) else {}
            spent = time.monotonic() - start
            row = [step + 1, f"{spent:.0f}", f"{total / counted:.4f}"]
            text = " ".join(f"{key}={value:.3f}" for key, value in measures.items())
            with log.open("a", encoding="utf-8", newline="") as stream:
                csv.writer(stream).writerow([*row, text])
            print(name, *row, text, flush=True)
            total, counted = 0.0, 0
        if (step + 1) % CHECKPOINT_EVERY == 0 or done:
            state = {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "step": step + 1,
                "seconds": time.monotonic() - start,
            }
            torch.save(state, checkpoint.with_suffix(".new"))
            checkpoint.with_suffix(".new").replace(checkpoint)
    return spent / 60
