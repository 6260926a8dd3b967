"""A tiny model whose circuits are wired by hand, and the pictures that it was made for.

Every position's state is a set of named slots. A patch comes in with its colour and its quarter of
the image; the MLP of layer 0 writes the word of its colour beside them; then attention looks things
up: each query goes to the positions that hold what it looks for, and to the first token, which
hands nothing on, where there is none. So what carries an answer, in which layer, is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from PIL import Image

from retinoscope.data import Annotation, Question, Sample
from retinoscope.models import Checkpoint, load

COLOURS = {"dog": (255, 0, 0), "cat": (0, 255, 0), "apple": (0, 0, 255)}
QUARTERS = ((0, 0), (0, 28), (28, 0), (28, 28))
"""Top and left of each quarter of an image, in pixels."""

_SLOTS = [
    *("sink", "one", "black", "ends", "Yes", "No", "found", "asked left", "asked right"),
    *(f"{kind} {name}" for kind in ("colour", "asked", "word") for name in COLOURS),
    *(f"{kind} {n}" for kind in ("place", "carried", "brought") for n in range(len(QUARTERS))),
]
_UNTURNED = (1, 2, 3, 5, 6, 7)
"""Dimensions of a head by which positions are found by what they hold, wherever they stand."""

_SIZE = 1.5
"""So much of a word is written into a patch whose colour and place are of size 1."""


def looking(folder: Path) -> Checkpoint:
    """It says whether a thing of the class that it is asked about is there.

    In layer 1 the class's name in the question finds patches that read as it; in layer 2 the last
    position reads off the name whether it did.
    """
    model = _wired()
    layers = model.model.language_model.layers
    same = [([f"asked {name}"], [f"word {name}"]) for name in COLOURS]
    words, asked = _all("word"), _all("asked")
    _attend(layers[1], same, [(words, "found", 1.0)], match=6.0, sink=3.0)
    _attend(layers[2], [(["ends"], asked)], [(["found"], "Yes", 4.0), (asked, "No", 1.0)])
    return _loaded(model, folder)


def placing(folder: Path) -> Checkpoint:
    """It names what is at the left or at the right, by the places that patches came in with.

    In layer 1 the last position reads which side is meant, in layer 2 what is written there.
    """
    model = _wired()
    layers = model.model.language_model.layers
    sides = [(["asked left"], "brought 0", 1.0), (["asked right"], "brought 1", 1.0)]
    # Of what lies there, what holds a word.
    there = [([f"brought {n}"], [f"place {n}", f"place {n + 2}", *_all("word")]) for n in (0, 1)]
    _attend(layers[1], [(["ends"], ["asked left", "asked right"])], sides)
    _attend(layers[2], there, _told())
    return _loaded(model, folder)


def hopping(folder: Path) -> Checkpoint:
    """It names what is left of the thing that it is asked about, in two steps.

    In layer 1 the name in the question fetches the thing's place, in layer 2 the last position
    takes it over, and in layer 3 it reads the word that is written left of there.
    """
    model = _wired()
    layers = model.model.language_model.layers
    places = range(len(QUARTERS))
    same = [([f"asked {name}"], [f"word {name}"]) for name in COLOURS]
    carried = [([f"place {n}"], f"carried {n}", 1.0) for n in places]
    brought = [([f"carried {n}"], f"brought {n}", 1.0) for n in places]
    left = [([f"brought {n}"], [f"place {n - 1}"]) for n in (1, 3)]
    _attend(layers[1], same, carried)
    _attend(layers[2], [(["ends"], _all("asked"))], brought)
    _attend(layers[3], left, _told())
    return _loaded(model, folder)


def picture(
    folder: Path,
    number: int,
    things: Mapping[tuple[int, int], str],
    size: int = 28,
    questions: Sequence[Question] = (),
) -> Sample:
    """A black picture with squares of their classes' colours.

    Args:
        folder: where it is written.
        number: its id; its objects' are 10 times that and their number.
        things: class names by top and left in pixels.
        size: of each object, in pixels.
        questions: about it.
    """
    pixels = np.zeros((tiny.SIDE, tiny.SIDE, 3), dtype=np.uint8)
    found = []
    for index, ((y, x), name) in enumerate(things.items()):
        mask = np.zeros((tiny.SIDE, tiny.SIDE), dtype=bool)
        mask[y : y + size, x : x + size] = True
        pixels[mask] = COLOURS[name]
        seen = folder / f"{number}-{index}.png"
        Image.fromarray(mask).save(seen)
        box = (float(x), float(y), float(size), float(size))
        found.append(Annotation(10 * number + index, name, float(size**2), box, False, seen))
    path = folder / f"{number}.png"
    Image.fromarray(pixels).save(path)
    return Sample(number, path, tiny.SIDE, tiny.SIDE, tuple(found), tuple(questions))


def _told() -> list[tuple[Sequence[str], str, float]]:
    return [([f"word {name}"], f"word {name}", 1.0) for name in COLOURS]


def _all(kind: str) -> list[str]:
    return [f"{kind} {name}" for name in COLOURS]


def _at(names: Iterable[str]) -> list[int]:
    return [_SLOTS.index(name) for name in names]


def _wired() -> Any:
    """The model without any attention: what it sees, the words of its patches, what it says."""
    model: Any = tiny.model()
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        _see(model.model.vision_tower, model.model.multi_modal_projector)
        _name(model.model.language_model.layers[0].mlp)
        _read(model.model.language_model.embed_tokens.weight)
        model.lm_head.weight.mul_(0.1)  # so that words without a slot are no tie
        for word in (*COLOURS, "Yes", "No"):
            slot = f"word {word}" if word in COLOURS else word
            model.lm_head.weight[tiny.WORDS.index(word), _at([slot])] = 3.0
    return model


def _loaded(model: Any, folder: Path) -> Checkpoint:
    # Positions turn the first pair of a head's dimensions alone, which nothing is wired to.
    model.config.text_config.rope_parameters["rope_theta"] = 1e30
    model.save_pretrained(folder)
    tiny.processor().save_pretrained(folder)
    return load(folder)


def _see(tower: Any, projector: Any) -> None:
    """A patch's token holds its colour, its quarter and that it is one, up to a positive factor."""
    for layer in tower.encoder.layers:
        for written in (layer.self_attn.out_proj, layer.mlp.fc2):
            written.weight.zero_()
            written.bias.zero_()
    # What the tower holds: three channels, then the quarters, then 1; all else stays 0, by which
    # what its norm takes away is told.
    channels, quarters, one, nothing = range(3), range(3, 7), 7, 8
    seeing = tower.embeddings
    seeing.patch_embedding.weight.zero_()
    for channel in channels:
        seeing.patch_embedding.weight[channel, channel] = 1 / tiny.PATCH**2
    seeing.position_embedding.weight.zero_()
    side = tiny.SIDE // tiny.PATCH
    for patch in range(side**2):
        row, column = divmod(patch, side)
        seeing.position_embedding.weight[1 + patch, quarters[2 * (row // 2) + column // 2]] = 1.0
        seeing.position_embedding.weight[1 + patch, one] = 1.0
    seen = torch.zeros(len(_SLOTS), nothing + 1)
    images: Any = tiny.processor().image_processor
    for channel, name, mean, deviation in zip(
        channels, COLOURS, images.image_mean, images.image_std, strict=True
    ):
        seen[_at([f"colour {name}"]), channel] = deviation
        seen[_at([f"colour {name}"]), one] = mean
    seen[_at(["black"])] = -seen[_at(_all("colour"))].sum(0)
    for place, quarter in enumerate(quarters):
        seen[_at([f"place {place}"]), quarter] = 1.0
    seen[_at(["one", "black"]), one] += 1.0
    seen[:, nothing] = -seen.sum(-1)
    far = 50.0  # Where GELU is the identity.
    for linear in (projector.linear_1, projector.linear_2):
        linear.weight.zero_()
    projector.linear_1.weight[: len(_SLOTS), : nothing + 1] = seen
    projector.linear_1.bias.fill_(far)
    projector.linear_2.weight.fill_diagonal_(1.0)
    projector.linear_2.bias.fill_(-far)


def _name(mlp: Any) -> None:
    """Where one colour is seen and nothing of the others, its word is written."""
    mlp.gate_proj.weight.zero_()
    mlp.up_proj.weight.zero_()
    (one,) = _at(["one"])
    size = (tiny.WIDTH / 3) ** 0.5  # of each of three slots behind the norm
    for row, name in enumerate(COLOURS):
        mlp.gate_proj.weight[row, _at(_all("colour"))] = -10.0
        mlp.gate_proj.weight[row, _at([f"colour {name}"])] = 10.0
        mlp.gate_proj.weight[row, one] = -5.0
        mlp.up_proj.weight[row, one] = 1.0
        mlp.down_proj.weight[_at([f"word {name}"]), row] = _SIZE / (5 * size**2)


def _read(embeddings: torch.Tensor) -> None:
    """Each word is one; the first is where attention rests, names ask, and some words end."""
    embeddings.zero_()
    for index, word in enumerate(tiny.WORDS):
        slots = ["sink"] if word == "USER" else ["one"]
        slots += [f"asked {word}"] if f"asked {word}" in _SLOTS else []
        slots += ["ends"] if word in (":", "a", "an") else []
        embeddings[index, _at(slots)] = 1.0


def _attend(
    layer: Any,
    matches: Sequence[tuple[Sequence[str], Sequence[str]]],
    values: Sequence[tuple[Sequence[str], str, float]],
    match: float = 8.0,
    sink: float = 2.0,
) -> None:
    """The first head looks up.

    Args:
        layer: the decoder layer.
        matches: (slots of queries, slots of the keys that they look for).
        values: (slots that are read, the slot that they are added to, how strongly).
        match: how strongly what is looked for draws attention.
        sink: how strongly the first token does.
    """
    attention = layer.self_attn
    with torch.no_grad():
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
            linear.weight.zero_()
        for row, (queries, keys) in zip(_UNTURNED, matches, strict=False):
            attention.q_proj.weight[row, _at(queries)] = match
            attention.k_proj.weight[row, _at(keys)] = 1.0
        attention.q_proj.weight[_UNTURNED[len(matches)], _at(["one"])] = sink
        attention.k_proj.weight[_UNTURNED[len(matches)], _at(["sink"])] = 1.0
        for row, (read, written, strength) in enumerate(values):
            attention.v_proj.weight[row, _at(read)] = 0.5
            attention.o_proj.weight[_at([written]), row] = strength
