"""The parts of a tiny model, wired by hand: what each of them sees, names, looks up and says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tiny
import torch

from retinoscope.models import Checkpoint, load

COLOURS = {"dog": (255, 0, 0), "cat": (0, 255, 0), "apple": (0, 0, 255)}

NUMBERS = ("One", "Two", "Three")
WORDS = (*tiny.WORDS, *NUMBERS)

PLACES = range(4)
"""Quarters of the image."""

SLOTS = [
    *("sink", "one", "black", "ends", "found", "No", "asked left", "asked right", "mass"),
    *(f"{kind} {name}" for kind in ("colour", "asked", "word") for name in COLOURS),
    *(f"{kind} {n}" for kind in ("place", "carried", "brought") for n in PLACES),
]
_UNTURNED = (1, 2, 3, 5, 6, 7)
"""Dimensions of a head by which positions are found by what they hold, wherever they stand."""

_SIZE = 1.5
"""So much of a word is written into a patch whose colour and place are of that size."""

_TOWER = [
    *("red", "green", "blue", *(f"place {n}" for n in PLACES), "one", "corner", "first", "mass"),
    *(f"gathered {name}" for name in COLOURS),
    "nothing",  # by which what a norm takes away is told
]

Form = Mapping[str, float]
"""A weighted sum of what the tower holds, by name."""


def told() -> list[tuple[Sequence[str], str, float]]:
    """Values that hand a word on."""
    return [([f"word {name}"], f"word {name}", 1.0) for name in COLOURS]


def every(kind: str) -> list[str]:
    """A kind of slot, of each class."""
    return [f"{kind} {name}" for name in COLOURS]


def wired() -> Any:
    """The model without any attention: what it sees, the words of its patches, what it says."""
    model: Any = tiny.model(vocabulary=WORDS)
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        _see(model.model.vision_tower, model.model.multi_modal_projector)
        name(model)
        _read(model.model.language_model.embed_tokens.weight)
        model.lm_head.weight.mul_(0.1)  # so that words without a slot are no tie
        said = {"Yes": "found", "No": "No", **{one: f"word {one}" for one in COLOURS}}
        for word, slot in said.items():
            model.lm_head.weight[WORDS.index(word), _at([slot])] = 3.0
    return model


def loaded(model: Any, folder: Path) -> Checkpoint:
    """The model from its folder."""
    # Positions turn the first pair of a head's dimensions alone, which nothing is wired to.
    model.config.text_config.rope_parameters["rope_theta"] = 1e30
    model.save_pretrained(folder)
    tiny.processor(WORDS).save_pretrained(folder)
    return load(folder)


def _at(names: Iterable[str]) -> list[int]:
    return [SLOTS.index(name) for name in names]


def _see(tower: Any, projector: Any) -> None:
    """A patch's token holds its colour, its quarter and that it is one, up to a positive factor."""
    for layer in tower.encoder.layers:
        for written in (layer.self_attn.out_proj, layer.mlp.fc2):
            written.weight.zero_()
            written.bias.zero_()
    seeing = tower.embeddings
    seeing.class_embedding.zero_()
    seeing.class_embedding[_TOWER.index("first")] = 1.0
    seeing.patch_embedding.weight.zero_()
    for channel in range(3):
        seeing.patch_embedding.weight[channel, channel] = 1 / tiny.PATCH**2
    seeing.position_embedding.weight.zero_()
    side = tiny.SIDE // tiny.PATCH
    for patch in range(side**2):
        row, column = divmod(patch, side)
        held = [f"place {2 * (row // 2) + column // 2}", "one"]
        held += ["corner"] if patch == side**2 - 1 else []
        seeing.position_embedding.weight[1 + patch, [_TOWER.index(one) for one in held]] = 1.0
    seen = torch.zeros(tiny.WIDTH, tower.config.hidden_size)
    shown = [_form(colours({one: 1.0})) for one in COLOURS]
    for slot, form in zip(every("colour"), shown, strict=True):
        seen[_at([slot]), : len(form)] = form
    seen[_at(["black"]), : len(_TOWER)] = _form({"one": 1.0}) - torch.stack(shown).sum(0)
    for slot in (*(f"place {n}" for n in PLACES), "one", "mass"):
        seen[_at([slot]), : len(_TOWER)] = _form({slot: 1.0})
    for one in COLOURS:
        seen[_at([f"colour {one}"]), : len(_TOWER)] += _form({f"gathered {one}": 1.0})
    far = 50.0  # Where GELU is the identity.
    for linear in (projector.linear_1, projector.linear_2):
        linear.weight.zero_()
    projector.linear_1.weight[:] = seen
    projector.linear_1.bias.fill_(far)
    projector.linear_2.weight.fill_diagonal_(1.0)
    projector.linear_2.bias.fill_(-far)


def colours(weights: Mapping[str, float]) -> Form:
    """How much a patch shows of classes' colours, each 1 where it is all of it, in a sum."""
    images: Any = tiny.processor().image_processor
    channels = [*COLOURS]
    form = {"one": 0.0}
    for of, weight in weights.items():
        channel = channels.index(of)
        form[_TOWER[channel]] = weight * images.image_std[channel]
        form["one"] += weight * images.image_mean[channel]
    return form


def scaled(form: Form, by: float) -> Form:
    """A form so many times."""
    return {held: by * weight for held, weight in form.items()}


def _form(weights: Form) -> torch.Tensor:
    row = torch.zeros(len(_TOWER))
    for held, weight in weights.items():
        row[_TOWER.index(held)] = weight
    row[-1] = -row.sum()
    return row


def gather(model: Any, matches: Sequence[tuple[Form, Form]], strength: float) -> None:
    """A head of the tower hands colours on, beside those that a patch shows.

    Args:
        model: the model.
        matches: (what of a query, what of a key): their products add up to what draws attention.
        strength: how much is handed on of what a patch shows.
    """
    attention = model.model.vision_tower.encoder.layers[0].self_attn
    with torch.no_grad():
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
            linear.weight.zero_()
            linear.bias.zero_()
        for row, (query, key) in enumerate(matches):
            attention.q_proj.weight[row, : len(_TOWER)] = _form(query)
            attention.k_proj.weight[row, : len(_TOWER)] = _form(key)
        for row, one in enumerate(COLOURS):
            attention.v_proj.weight[row, : len(_TOWER)] = _form(colours({one: 1.0}))
            attention.out_proj.weight[_TOWER.index(f"gathered {one}"), row] = strength


def outlier(model: Any, size: float) -> None:
    """The patch in the last corner holds something large, of which nothing is ever read."""
    mlp = model.model.vision_tower.encoder.layers[1].mlp
    with torch.no_grad():
        for linear in (mlp.fc1, mlp.fc2):
            linear.weight.zero_()
            linear.bias.zero_()
        mlp.fc1.weight[0, : len(_TOWER)] = 10 * _form({"corner": 1.0})
        mlp.fc2.weight[_TOWER.index("mass"), 0] = size / 10


def name(model: Any, least: float = 0.5, size: float = _SIZE) -> None:
    """Where one colour is seen and nothing of the others, its word is written.

    Args:
        model: the model.
        least: of a colour, as a multiple of the state's constant.
        size: of the word, where a patch holds a colour, a place and the constant alike, and `least`
            is a half.
    """
    mlp = model.model.language_model.layers[0].mlp
    (one,) = _at(["one"])
    third = (tiny.WIDTH / 3) ** 0.5  # of each of three slots behind the norm
    with torch.no_grad():
        mlp.gate_proj.weight.zero_()
        mlp.up_proj.weight.zero_()
        for row, thing in enumerate(COLOURS):
            mlp.gate_proj.weight[row, _at(every("colour"))] = -10.0
            mlp.gate_proj.weight[row, _at([f"colour {thing}"])] = 10.0
            mlp.gate_proj.weight[row, one] = -10 * least
            mlp.up_proj.weight[row, one] = 1.0
            mlp.down_proj.weight[_at([f"word {thing}"]), row] = size / (5 * third**2)


def _read(embeddings: torch.Tensor) -> None:
    """Each word is one; the first is where attention rests, names ask, and some words end."""
    embeddings.zero_()
    for index, word in enumerate(WORDS):
        slots = ["sink"] if word == "USER" else ["one"]
        slots += [slot for slot in (f"asked {word}", f"asked {word[:-1]}") if slot in SLOTS]
        slots += ["ends"] if word in (":", "a", "an") else []
        embeddings[index, _at(slots)] = 1.0


def attend(
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


def number(model: Any, borders: Sequence[float]) -> None:
    """How much is found is said as a number, each above its border.

    Args:
        model: the model.
        borders: of what is found, as multiples of the state's constant, ascending.
    """
    found, one = _at(["found", "one"])
    with torch.no_grad():
        for index, word in enumerate(NUMBERS, 1):
            row = model.lm_head.weight[WORDS.index(word)]
            row.zero_()
            # The lines of two numbers cross at the border between them.
            row[found], row[one] = 50.0 * index, -50.0 * sum(borders[:index])
