"""Tiny models whose circuits are wired by hand, and the pictures that they were made for.

Every position's state is a set of named slots. A patch comes in with its colour and its quarter of
the image; the MLP of layer 0 writes the word of its colour beside them; then attention looks things
up: each query goes to the positions that hold what it looks for, and to the first token, which
hands nothing on, where there is none. So what carries an answer, in which layer, is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tiny
from PIL import Image

from retinoscope.data import Annotation, Question, Sample
from retinoscope.models import Checkpoint
from tests.experiments import wiring
from tests.experiments.wiring import COLOURS

QUARTERS = ((0, 0), (0, 28), (28, 0), (28, 28))
"""Top and left of each quarter of an image, in pixels."""


def looking(folder: Path) -> Checkpoint:
    """It says whether a thing of the class that it is asked about is there.

    In layer 1 the class's name in the question finds patches that read as it; in layer 2 the last
    position reads off the name whether it did.
    """
    return _looking(wiring.wired(), folder)


def leaking(folder: Path) -> Checkpoint:
    """It looks too, but things in one half have exchanged their colours.

    The patches of each hold the other's: the tower hands colours on within a half.
    """
    model = wiring.wired()
    half = {f"place {n}": 2.0 * (n // 2) - 1 for n in wiring.PLACES}
    matches = [(wiring.scaled(half, 22.0), half)]
    for name in COLOURS:
        wanted = wiring.colours({other: -2.0 if other == name else 1.0 for other in COLOURS})
        matches.append((wiring.scaled(wanted, 22.0), wiring.colours({name: 1.0})))
    matches.append(({"one": 10.0}, {"first": 1.0}))
    wiring.gather(model, matches, 3.0)
    wiring.name(model, size=6.0)
    return _looking(model, folder)


def registering(folder: Path, *, carrying: bool) -> Checkpoint:
    """It looks, and the token of the last corner is an outlier.

    Args:
        folder: where the model is written.
        carrying: whether the outlier gathers the colours of the whole image, and alone has words;
            else it holds nothing that is read.
    """
    model = wiring.wired()
    wiring.outlier(model, 12.0)
    if carrying:
        shown = wiring.colours(dict.fromkeys(COLOURS, 1.0))
        wiring.gather(model, [({"corner": 20.0}, shown), ({"one": 4.0}, {"first": 1.0})], 4.0)
        wiring.name(model, least=2.0, size=80.0)
    return _looking(model, folder)


def echoing(folder: Path) -> Checkpoint:
    """It looks too, but finds a word only where a head of layer 1 has written it again, louder."""
    model = wiring.wired()
    words = [([f"word {name}"], [f"word {name}"]) for name in COLOURS]
    again = [([f"word {name}"], f"word {name}", 4.0) for name in COLOURS]
    wiring.attend(model.model.language_model.layers[1], words, again)
    return _looking(model, folder, sink=4.2, first=2)


def counting(folder: Path) -> Checkpoint:
    """It says how many things of a class there are, by how much its name finds of them.

    As it looks, but a name's attention to the patches of its class grows with their number.
    """
    model = wiring.wired()
    wiring.number(model, (0.7, 2.1, 3.25))
    return _looking(model, folder, match=1.5, sink=1.0)


def placing(folder: Path) -> Checkpoint:
    """It names what is at the left or at the right, by the places that patches came in with.

    In layer 1 the last position reads which side is meant, in layer 2 what is written there.
    """
    model = wiring.wired()
    layers = model.model.language_model.layers
    sides = [(["asked left"], "brought 0", 1.0), (["asked right"], "brought 1", 1.0)]
    # Of what lies there, what holds a word.
    there = [
        ([f"brought {n}"], [f"place {n}", f"place {n + 2}", *wiring.every("word")]) for n in (0, 1)
    ]
    wiring.attend(layers[1], [(["ends"], ["asked left", "asked right"])], sides)
    wiring.attend(layers[2], there, wiring.told())
    return wiring.loaded(model, folder)


def hopping(folder: Path) -> Checkpoint:
    """It names what is left of the thing that it is asked about, in two steps.

    In layer 1 the name in the question fetches the thing's place, in layer 2 the last position
    takes it over, and in layer 3 it reads the word that is written left of there.
    """
    model = wiring.wired()
    layers = model.model.language_model.layers
    places = wiring.PLACES
    same = [([f"asked {name}"], [f"word {name}"]) for name in COLOURS]
    carried = [([f"place {n}"], f"carried {n}", 1.0) for n in places]
    brought = [([f"carried {n}"], f"brought {n}", 1.0) for n in places]
    left = [([f"brought {n}"], [f"place {n - 1}"]) for n in (1, 3)]
    wiring.attend(layers[1], same, carried)
    wiring.attend(layers[2], [(["ends"], wiring.every("asked"))], brought)
    wiring.attend(layers[3], left, wiring.told())
    return wiring.loaded(model, folder)


def picture(
    folder: Path,
    number: int,
    things: Mapping[tuple[int, int], str],
    size: int = 28,
    questions: Sequence[Question] = (),
) -> Sample:
    """A black picture with squares of their classes' colours, which add up where they overlap.

    Args:
        folder: where it is written; made if need be.
        number: its id; its objects' are 10 times that and their number.
        things: class names by top and left in pixels.
        size: of each object, in pixels.
        questions: about it.
    """
    folder.mkdir(exist_ok=True)
    pixels = np.zeros((tiny.SIDE, tiny.SIDE, 3), dtype=np.uint8)
    found = []
    for index, ((y, x), name) in enumerate(things.items()):
        mask = np.zeros((tiny.SIDE, tiny.SIDE), dtype=bool)
        mask[y : y + size, x : x + size] = True
        pixels[mask] = np.maximum(pixels[mask], COLOURS[name])
        seen = folder / f"{number}-{index}.png"
        Image.fromarray(mask).save(seen)
        box = (float(x), float(y), float(size), float(size))
        found.append(Annotation(10 * number + index, name, float(size**2), box, False, seen))
    path = folder / f"{number}.png"
    Image.fromarray(pixels).save(path)
    return Sample(number, path, tiny.SIDE, tiny.SIDE, tuple(found), tuple(questions))


def _looking(
    model: Any, folder: Path, match: float = 6.0, sink: float = 3.0, first: int = 1
) -> Checkpoint:
    layers = model.model.language_model.layers[first:]
    same = [([f"asked {name}"], [f"word {name}"]) for name in COLOURS]
    words, asked = wiring.every("word"), wiring.every("asked")
    wiring.attend(layers[0], same, [(words, "found", 1.0)], match, sink)
    wiring.attend(
        *(layers[1], [(["ends"], asked)]), [(["found"], "found", 4.0), (asked, "No", 1.0)]
    )
    return wiring.loaded(model, folder)
