"""Look for the three effects the embedded model is meant to show, with hooks alone.

This is a check of the recipe, independent of the package's engine: where the tokens of a thing
are replaced, what its tokens decode to layer by layer, and what blocking attention does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from scipy.ndimage import binary_dilation
from torch import Tensor

from recipes.embedded.answering import Answerer, named_classes
from recipes.stack.shape import GRID, PATCH
from retinoscope.data.scenes.classes import CLASSES
from retinoscope.data.scenes.compose import Scene, compose
from retinoscope.data.scenes.language import DESCRIBE, poll_question, position_question

FIRST = 3  # visual tokens follow <bos>, USER and the colon
SEED = 1012
Cells = Bool[np.ndarray, " 144"]


def cover(scene: Scene, number: int) -> np.ndarray:
    """Return the share of each patch that a thing covers, (144,)."""
    mask = scene.objects[number].mask.astype(np.float32)
    return mask.reshape(GRID, PATCH, GRID, PATCH).mean((1, 3)).ravel()


def grown(cells: Cells) -> Cells:
    """Add the eight neighbours of every cell."""
    square = np.ones((3, 3), bool)
    return binary_dilation(cells.reshape(GRID, GRID), square).ravel()


@contextmanager
def replaced(answerer: Answerer, cells: np.ndarray, value: Tensor) -> Iterator[None]:
    """Replace visual tokens, `cells` (rows, 144), by one value after the projector."""
    offset = 0

    def hook(module: object, args: object, output: Tensor) -> Tensor:
        nonlocal offset
        rows = output.reshape(-1, GRID * GRID, output.shape[-1])
        chosen = torch.from_numpy(cells[offset : offset + len(rows)])
        offset += len(rows)
        return torch.where(chosen[..., None], value, rows).reshape(output.shape)

    handle = answerer.model.model.multi_modal_projector.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def mean_token(answerer: Answerer, images: int = 300) -> Tensor:
    """Return the mean visual token over training scenes."""
    found = []
    handle = answerer.model.model.multi_modal_projector.register_forward_hook(
        lambda module, args, output: found.append(output.reshape(-1, output.shape[-1]).mean(0))
    )
    pictures = [compose(1, i).image for i in range(images)]
    for start in range(0, images, 50):
        batch = pictures[start : start + 50]
        answerer.model(**answerer.inputs(batch, [DESCRIBE] * len(batch)))
    handle.remove()
    return torch.stack(found).mean(0)


def right_answers(answerer: Answerer, targets: list[tuple[Scene, int]]) -> dict[str, np.ndarray]:
    """Say for each target whether each task names it."""
    images = [s.image for s, _ in targets]
    things = [s.objects[n] for s, n in targets]
    described = answerer.answer(images, [DESCRIBE] * len(images))
    polled = answerer.answer(images, [poll_question(t.name) for t in things], 2)
    asked = answerer.answer(images, [position_question(t.row, t.column) for t in things], 6)
    return {
        "describe": np.array(
            [t.name in named_classes(d) for d, t in zip(described, things, strict=True)]
        ),
        "poll": np.array([p == "Yes" for p in polled]),
        "ask": np.array([t.name in named_classes(a) for a, t in zip(asked, things, strict=True)]),
    }


def ablation(answerer: Answerer, targets: list[tuple[Scene, int]]) -> dict[str, dict[str, float]]:
    """Share of right answers that turn wrong when tokens become the mean token."""
    rng = np.random.default_rng(0)
    object_cells = np.stack([cover(s, n) > 0 for s, n in targets])
    grown_cells = np.stack([grown(c) for c in object_cells])
    drawn = np.zeros_like(grown_cells)
    for row, taken in zip(drawn, grown_cells, strict=True):
        free = np.flatnonzero(~taken)
        row[rng.choice(free, min(len(free), taken.sum()), replace=False)] = True
    value = mean_token(answerer)
    clean = right_answers(answerer, targets)
    found = {"clean": {task: float(hits.mean()) for task, hits in clean.items()}}
    sets = {"object": object_cells, "object+1": grown_cells, "random": drawn}
    for name, cells in sets.items():
        # The three tasks go through the targets one after the other.
        tripled = np.concatenate([cells, cells, cells])
        with replaced(answerer, tripled, value):
            after = right_answers(answerer, targets)
        found[name] = {task: float(1 - after[task][clean[task]].mean()) for task in clean}
        found[name]["tokens"] = float(cells.sum(1).mean())
    return found


@torch.no_grad()
def lens(answerer: Answerer, targets: list[tuple[Scene, int]]) -> list[float]:
    """Share of object patches that decode to their word at each layer, embeddings first."""
    model, tokens = answerer.model, answerer.processor.tokenizer
    decoder = model.model.language_model
    hits = np.zeros(model.config.text_config.num_hidden_layers + 1)
    total = 0
    for start in range(0, len(targets), 50):
        batch = targets[start : start + 50]
        inputs = answerer.inputs([s.image for s, _ in batch], [DESCRIBE] * len(batch))
        states = model(**inputs, output_hidden_states=True).hidden_states
        cells = [np.flatnonzero(cover(s, n) >= 0.5) for s, n in batch]
        total += sum(map(len, cells))
        for layer, state in enumerate(states):
            normed = state if layer == len(hits) - 1 else decoder.norm(state)
            best = model.lm_head(normed[:, FIRST : FIRST + GRID * GRID]).argmax(-1)
            for row, (scene, number) in enumerate(batch):
                names = CLASSES[scene.objects[number].name]
                own = tokens.convert_tokens_to_ids([names.name, names.plural])
                hits[layer] += np.isin(best[row, cells[row]].numpy(), own).sum()
    return (hits / total).tolist()


def layer_windows(layers: int) -> dict[str, range]:
    """Return windows of thirds of the decoder's layers."""
    third = round(layers / 3)
    return {
        "early": range(third),
        "mid": range(third, 2 * third),
        "late": range(2 * third, layers),
        "mid-late": range(third, layers),
        "all": range(layers),
    }


@torch.no_grad()
def knockout(answerer: Answerer, targets: list[tuple[Scene, int]]) -> dict[str, dict[str, float]]:
    """Share of right asks that turn wrong when the last position can't see a thing's tokens."""
    model = answerer.model
    model.set_attn_implementation("eager")
    layers = model.model.language_model.layers
    windows = layer_windows(len(layers))
    near = np.stack([grown(cover(s, n) > 0) for s, n in targets])

    def share_right(cells: np.ndarray, window: range) -> np.ndarray:
        right = np.zeros(len(targets), bool)
        for row, (scene, number) in enumerate(targets):
            thing = scene.objects[number]
            prefix = f" It is {CLASSES[thing.name].article}"
            inputs = answerer.inputs([scene.image], [position_question(thing.row, thing.column)])
            extra = answerer.processor.tokenizer(
                prefix, add_special_tokens=False, return_tensors="pt"
            ).input_ids
            ids = torch.cat([inputs["input_ids"], extra], 1)
            keys = torch.from_numpy(np.flatnonzero(cells[row]) + FIRST)
            handles = [
                layers[i].self_attn.register_forward_pre_hook(_block(keys), with_kwargs=True)
                for i in window
            ]
            logits = model(input_ids=ids, pixel_values=inputs["pixel_values"]).logits[0, -1]
            for handle in handles:
                handle.remove()
            word = answerer.processor.tokenizer.convert_ids_to_tokens(int(logits.argmax()))
            right[row] = word == thing.name
        return right

    clean = share_right(near, range(0))
    found = {"clean": {"all": float(clean.mean())}}
    for name, cells in {"object+1": near, "others": ~near}.items():
        found[name] = {
            key: float(1 - share_right(cells, window)[clean].mean())
            for key, window in windows.items()
        }
    return found


def _block(keys: Tensor) -> Callable:
    def hook(module: object, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        length = kwargs["hidden_states"].shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)[None, None]
        mask[..., -1, keys] = float("-inf")
        return args, {**kwargs, "attention_mask": mask}

    return hook


def find_behaviour(folder: Path, count: int = 200) -> None:
    """Measure the three effects on new compositions; print them and save `behaviour.json`."""
    answerer = Answerer(folder)
    targets: list[tuple[Scene, int]] = []
    index = 0
    while len(targets) < count:
        scene = compose(SEED, index)
        names = [o.name for o in scene.objects]
        targets += [
            (scene, n)
            for n, o in enumerate(scene.objects)
            if names.count(o.name) == 1 and (cover(scene, n) >= 0.5).any()
        ][:1]
        index += 1
    windows = layer_windows(answerer.model.config.text_config.num_hidden_layers)
    found = {
        "things": count,
        "windows": {name: [w.start, w.stop - 1] for name, w in windows.items()},
        "ablation": ablation(answerer, targets),
        "lens": lens(answerer, targets),
        "knockout": knockout(answerer, targets[:100]),
    }
    print(json.dumps(found, indent=1), flush=True)
    (folder / "behaviour.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
