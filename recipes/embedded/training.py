"""A training stage: steps until its time or number is up, a curve in CSV, a checkpoint."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from recipes.stack.optimise import Optimiser, Optimisers

LOG_EVERY = 25
CHECKPOINT_SECONDS = 150.0
AVERAGED = 0.997
"""The exported weights are a running mean that keeps so much at each step."""


@dataclass(frozen=True)
class Budget:
    """How long a stage takes; whichever end comes first.

    Attributes:
        seconds: of training, checkpoints and measures counted in.
        steps: at most.
    """

    seconds: float
    steps: int = 10**9

    def progress(self, seconds: float, step: int) -> float:
        """Share of the stage that is done, 0 to 1."""
        return min(1.0, max(seconds / max(self.seconds, 1e-9), step / self.steps))


@dataclass(frozen=True)
class Stage:
    """A stage's name and places.

    Attributes:
        name: names checkpoint and log.
        budget: how long it takes.
        work: folder of checkpoints.
        log: folder of curves.
    """

    name: str
    budget: Budget
    work: Path
    log: Path

    @property
    def checkpoint(self) -> Path:
        """Where the state is kept."""
        return self.work / f"{self.name}.pt"


def train(
    stage: Stage,
    modules: nn.ModuleDict,
    optimiser: Optimiser | Optimisers,
    step_of: Callable[[int, float], dict[str, Tensor]],
    measure: Callable[[float], object] | None = None,
) -> int:
    """Train to the end of the stage, going on from a checkpoint if there is one.

    Args:
        stage: see `Stage`.
        modules: what is saved and restored.
        optimiser: its state is saved and restored too.
        step_of: takes step `number` at a progress: computes losses by name (each one number for
            every model), their gradients, and steps. It draws its batch from the number alone.
        measure: called after every step with the progress.

    Returns:
        Number of steps taken in all.

    Raises:
        FloatingPointError: every model's loss has become not a number.
    """
    step, spent = _restore(stage, modules, optimiser)
    start, saved = time.monotonic() - spent, time.monotonic()
    stage.log.mkdir(parents=True, exist_ok=True)
    table = stage.log / f"{stage.name}.csv"
    if step == 0:
        table.write_text("step,seconds,progress,losses\n", "utf-8")
    while (progress := stage.budget.progress(time.monotonic() - start, step)) < 1:
        losses = step_of(step, progress)
        step += 1
        if step % LOG_EVERY == 0 or step in (1, 5):
            _write_row(table, stage.name, step, time.monotonic() - start, progress, losses)
        if measure is not None:
            measure(progress)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            _save(stage, modules, optimiser, step, time.monotonic() - start)
            saved = time.monotonic()
    if step:
        _save(stage, modules, optimiser, step, max(time.monotonic() - start, stage.budget.seconds))
    return step


def _write_row(
    table: Path, name: str, step: int, seconds: float, progress: float, losses: dict[str, Tensor]
) -> None:
    lines = []
    for key, value in losses.items():
        numbers = value.detach().float().flatten().tolist()
        if all(number != number for number in numbers):
            raise FloatingPointError(f"{name}: {key} is not a number in any model at step {step}")
        lines.append(f"{key}=" + "/".join(f"{number:.3f}" for number in numbers[:12]))
    text = " ".join(lines)
    with table.open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow([step, f"{seconds:.1f}", f"{progress:.4f}", text])
    if step % (4 * LOG_EVERY) == 0 or step in (1, 5):
        print(f"{name} {step} {seconds:.1f}s {progress:.2f} {text}", flush=True)


def _save(
    stage: Stage,
    modules: nn.ModuleDict,
    optimiser: Optimiser | Optimisers,
    step: int,
    seconds: float,
) -> None:
    stage.work.mkdir(parents=True, exist_ok=True)
    state = {
        "modules": modules.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "seconds": seconds,
    }
    partial = stage.checkpoint.with_suffix(".new")
    torch.save(state, partial)
    partial.replace(stage.checkpoint)


def _restore(
    stage: Stage, modules: nn.ModuleDict, optimiser: Optimiser | Optimisers
) -> tuple[int, float]:
    if not stage.checkpoint.exists():
        return 0, 0.0
    state = torch.load(stage.checkpoint, map_location="cpu", weights_only=True)
    modules.load_state_dict(state["modules"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"], state["seconds"]


class Average(nn.Module):
    """A running mean of weights."""

    def __init__(self, modules: nn.ModuleDict) -> None:
        """Begin with the weights as they are."""
        super().__init__()
        self.averaged = list(modules.parameters())
        for number, parameter in enumerate(self.averaged):
            self.register_buffer(f"mean_{number}", parameter.detach().clone())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step."""
        kept = min(AVERAGED, (step + 1) / (step + 10))
        means = list(self.buffers())
        get_ema_multi_avg_fn(kept)(means, [p.detach() for p in self.averaged], step)

    @torch.no_grad()
    def settle(self) -> None:
        """Give the weights their mean."""
        for parameter, mean in zip(self.averaged, self.buffers(), strict=True):
            parameter.copy_(mean)
