"""Train the projector, then projector and LoRA adapter, each for so many seconds; resumable."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration

from recipes.embedded.asking import DESCRIPTIONS
from recipes.embedded.augment import normalise, restyle
from recipes.embedded.pool import Seen
from recipes.smollm2.rows import Layout, Rows

SEED = 50
EXCHANGES = 8
"""About each image of a step; one of them describes it, where it has a description."""
RANK = 16
ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SAVED_EVERY, LOGGED_EVERY = 60.0, 10.0


@dataclass(frozen=True, eq=False)
class Student:
    """What is trained, and on what.

    Attributes:
        model: the assembled model, on its device.
        layout: rows of its tokens.
        scenes: to train on, each with what is asked about it.
        rows: images in a step.
        work: where checkpoints and the log lie.
        parts: what each stage saves, by name.
    """

    model: LlavaForConditionalGeneration
    layout: Layout
    scenes: list[Seen]
    rows: int
    work: Path
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device


def start_projector(student: Student) -> None:
    """Scale the projector so that visual tokens are about as long as word embeddings."""
    first = student.model.model.multi_modal_projector.linear_1
    second = student.model.model.multi_modal_projector.linear_2
    words = float(student.model.lm_head.weight.detach().std())
    with torch.no_grad():
        features = see(student, np.stack([scene.image for scene in student.scenes[:50]]))
        first.weight.normal_(0, first.in_features**-0.5 / float(features.std()))
        second.weight.normal_(0, 1.5 * words * second.in_features**-0.5)
        first.bias.zero_()
        second.bias.zero_()
    student.parts["projector"] = student.model.model.multi_modal_projector


def add_adapter(student: Student) -> None:
    """Put a LoRA adapter of rank 16 on every matrix of the language model's layers."""
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=list(ADAPTED))
    # PEFT's own wrapper keeps the adapter's names and saves it; the layers are the same objects.
    student.parts["adapter"] = get_peft_model(student.model.model.language_model, config)


@torch.no_grad()
def see(student: Student, images: np.ndarray, rng: torch.Generator | None = None) -> Tensor:
    """Features of images, restyled where a source of choices is given.

    Args:
        student: for the tower and its device.
        images: RGB, 0 to 255.
        rng: on the student's device.
    """
    device = student.device
    pixels = torch.from_numpy(images).to(device)
    if rng is None:
        seen = normalise(pixels, torch.float32)
    else:
        free = torch.ones(len(pixels), dtype=torch.bool, device=device)
        seen = restyle(pixels, torch.zeros_like(pixels[..., 0]), free, rng)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        tower = student.model.model.vision_tower
        return tower(pixel_values=seen).last_hidden_state[:, 1:].float()


def draw_batch(student: Student, step: int) -> tuple[np.ndarray, Rows]:
    """The images of a step and rows about them, from the step's number alone."""
    rng = np.random.default_rng((SEED, step))
    chosen = [student.scenes[i] for i in rng.choice(len(student.scenes), student.rows, False)]
    asked = []
    for scene in chosen:
        # Styles change colours, so nothing is asked that follows from them.
        known = [scene.uncoloured[i] for i in rng.permutation(len(scene.uncoloured))]
        known.sort(key=lambda exchange: exchange[0] not in DESCRIPTIONS)
        asked.append(known[:1] + known[-EXCHANGES + 1 :])
    return np.stack([scene.image for scene in chosen]), student.layout.rows(asked)


def loss_of(student: Student, images: np.ndarray, rows: Rows, step: int) -> Tensor:
    """Cross-entropy of the answers about the images of one step, in nats a token."""
    rng = torch.Generator(student.device).manual_seed(SEED * 10**7 + step)
    rows = rows.to(student.device)
    hidden = through(student, rows, see(student, images, rng))
    answers = rows.answers[:, 1:]
    with torch.autocast(student.device.type, dtype=torch.bfloat16):
        logits = student.model.lm_head(hidden[:, :-1][answers])
    return F.cross_entropy(logits.float(), rows.tokens[:, 1:][answers])


def through(student: Student, rows: Rows, features: Tensor) -> Tensor:
    """The decoder's last hidden states over rows whose images have these features."""
    device, first = student.device, student.layout.first
    with torch.autocast(device.type, dtype=torch.bfloat16):
        visual = student.model.model.multi_modal_projector(features)
        words = student.model.get_input_embeddings()(rows.tokens)
        patches = features.shape[1]
        inputs = torch.cat(
            [words[:, :first], visual.to(words.dtype), words[:, first + patches :]], 1
        )
        mask = torch.where(rows.allowed, 0.0, -1e4)[:, None].bfloat16()
        output = student.model.model.language_model(
            inputs_embeds=inputs,
            position_ids=rows.positions,
            attention_mask=mask,
            use_cache=False,
        )
    return output.last_hidden_state


def train(
    student: Student,
    stage: str,
    rates: Mapping[str, float],
    seconds: float,
    measure: Callable[[], dict[str, float]],
) -> None:
    """Train some parts for so many seconds, from the stage's checkpoint on if there is one.

    The rate rises over the first fiftieth of the time and falls to a twentieth on a cosine of
    the time that is spent, so that a stage ends well on any machine.

    Args:
        student: what is trained.
        stage: its name, for the checkpoint and the log.
        rates: peak learning rate of each part; everything else keeps its weights.
        seconds: to train in all, interruptions not counted.
        measure: quality at the end, for the log.
    """
    parts = {name: student.parts[name] for name in rates}
    student.model.requires_grad_(False)
    groups = []
    for name, part in parts.items():
        held = [p for n, p in part.named_parameters() if name == "projector" or "lora_" in n]
        groups.append({"params": [p.requires_grad_() for p in held], "peak": rates[name]})
    optimiser = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.0, betas=(0.9, 0.98))
    saved = student.work / f"{stage}.stage.pt"
    step, spent = _resume(saved, parts, optimiser)
    begun, kept, logged = time.monotonic() - spent, spent, spent
    with ThreadPoolExecutor(1) as ahead:
        drawn = ahead.submit(draw_batch, student, step)
        while (spent := time.monotonic() - begun) < seconds:
            _set_rate(optimiser, spent / seconds)
            images, rows = drawn.result()
            drawn = ahead.submit(draw_batch, student, step + 1)
            loss = loss_of(student, images, rows, step)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], 1.0)
            optimiser.step()
            step += 1
            if spent - logged > LOGGED_EVERY:
                _log(student.work, [stage, step, f"{spent:.0f}", f"{loss.item():.4f}", ""])
                logged = spent
            if spent - kept > SAVED_EVERY:
                _save(saved, parts, optimiser, step, spent)
                kept = spent
    _save(saved, parts, optimiser, step, max(spent, seconds))
    text = " ".join(f"{name}={value:.4f}" for name, value in measure().items())
    _log(student.work, [stage, step, f"{seconds:.0f}", "", text])


def _set_rate(optimiser: torch.optim.Optimizer, done: float) -> None:
    """The learning rate of every part after this share of its time."""
    rate = min(1.0, done / 0.02 + 1e-3) * (0.05 + 0.475 * (1 + math.cos(math.pi * done)))
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * rate


def _trained(parts: Mapping[str, nn.Module]) -> dict[str, dict[str, Tensor]]:
    return {
        name: {key: p.detach() for key, p in part.named_parameters() if p.requires_grad}
        for name, part in parts.items()
    }


def _save(file: Path, parts: Mapping[str, nn.Module], optimiser: Any, step: int, s: float) -> None:
    state = {
        "parts": _trained(parts),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "seconds": s,
    }
    torch.save(state, file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)


def _resume(file: Path, parts: Mapping[str, nn.Module], optimiser: Any) -> tuple[int, float]:
    """Take up a stage's checkpoint: steps and seconds behind it, or none."""
    if not file.exists():
        return 0, 0.0
    state = torch.load(file, weights_only=True)
    for name, part in parts.items():
        found = part.load_state_dict(state["parts"][name], strict=False)
        assert not found.unexpected_keys
    optimiser.load_state_dict(state["optimiser"])
    return state["step"], state["seconds"]


def _log(work: Path, row: list[Any]) -> None:
    file = work / "log.csv"
    new = not file.exists()
    with file.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(["stage", "step", "seconds", "loss", "measures"])
        writer.writerow(row)
    print(*row, flush=True)
