"""What the public surface says where something of another type is given than it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

import pytest

# Run on its own: in the tests every annotation is checked, and the check would speak first.
SCRIPT = """
import json, sys
import numpy as np
import torch
from PIL import Image
import retinoscope as rs

vlm = rs.load("embedded", mean=torch.zeros(192), device="cpu")
view = vlm.look(Image.new("RGB", (192, 192)), "Is there a dog in this image?", max_new_tokens=2)
dog = view.tokens.box(20, 40, 90, 110)
found = {}
for line in json.load(sys.stdin):
    try:
        found[line] = f"taken: {eval(line)!r}"
    except BaseException as error:
        found[line] = f"{type(error).__name__}: {error}"
json.dump(found, sys.stdout)
"""

REFUSED = {
    "rs.load({'model': 1})": "ModelError: A dict is not a model",
    "rs.load('embedded', dtype=16)": "ModelError: 16 is not a type of weights",
    "rs.load('embedded', device=1.5)": "ModelError: 1.5 is not a device",
    "rs.load('embedded', family=3)": "ModelError: There is no family 3",
    "rs.load('embedded', mean=[0.0])": "ModelError: The mean visual token is [0.0]; give a tensor",
    "rs.mean_token('embedded', [])": "ModelError: A str is not a model; give what rs.load returned",
    "vlm.look(3)": "ModelError: An image is needed",
    "vlm.look(view.image, 3)": "SampleError: The question is a text; got 3",
    "vlm.look(view.image, 'Is it?', prefix=3)": "SampleError: The prefix is a text; got 3",
    "vlm.look(view.image, 'Is it?', max_new_tokens='all')": "SampleError: max_new_tokens",
    "view.answer(dog)": "InterventionError: TokenSet(",
    "view.answer('Ablate')": "InterventionError: 'Ablate' (str) is not an intervention",
    "view.answers(3)": "InterventionError: 3 (int) is not an intervention",
    "view.answers('Ablate')": "InterventionError: 'Ablate' (str) is not an intervention",
    "view.answers([[3]])": "InterventionError: 3 (int) is not an intervention",
    "view.evaluate(rs.Ablate)": "InterventionError:",
    "view.answer(rs.Ablate('mask.png'))": "view.tokens.under('mask.png')",
    "view.answer(rs.Ablate(view))": "InterventionError: Ablate: ",
    "view.answer(rs.Ablate(dog, [1.0]))": "InterventionError: Ablate got value=[1.0]",
    "rs.interchange(view, dog)": "SelectionError: TokenSet",
    "rs.interchange(view, view, dog)": "SelectionError:",
    "rs.paths(view, view, dog)": "SelectionError:",
    "view.answer(rs.SitePatch(dog, 'z.1', [1.0]))": "InterventionError: SitePatch got [1.0] (list)",
    "view.answer(rs.Patch(dog, 1, [1.0]))": "InterventionError: Patch got [1.0] (list)",
    "view.answer(rs.Patch(dog, 1, 'mean'))": "InterventionError: Patch got 'mean' (str)",
    "view.answer(rs.Steer(dog, 1, None))": "InterventionError: Steer got None (NoneType)",
    "view.answer(rs.Knockout(view.last, dog, 'all'))": "InterventionError: Knockout",
    "view.answer(rs.Knockout(view.last, dog, 1.5))": "InterventionError: Knockout",
    "view.answer(rs.Knockout(view.last, dog, [1], heads='all'))": "InterventionError: Knockout",
    "view.answer(rs.Steer(dog, None, torch.zeros(192)))": "InterventionError: Steer",
    "view.tokens.under(3)": "SelectionError: A mask is [height, width]",
    "view.tokens.under(None)": "SelectionError: A mask is [height, width]",
    "view.tokens.under('no-such.png')": "SampleError:",
    "view.tokens.under(view.image, overlap='half')": "SelectionError: overlap is a share",
    "view.tokens.box(1, 2, 'three', 4)": "SelectionError: A box is x0, y0, x1, y1",
    "view.tokens.row('last')": "SelectionError: The image has rows 0 to 11; got 'last'",
    "view.tokens.at('dog')": "SelectionError: 'dog' (str) names no tokens",
    "view.tokens.word(3)": "SelectionError: A word of the prompt is needed",
    "dog | [3, 4]": "SelectionError: A token set goes together with another one; got [3, 4] (list)",
    "dog.dilate(1.5)": "SelectionError: A buffer is 0 or more patches wide; got 1.5",
    "dog.draw('few', 0)": "SelectionError: Can't draw 'few' tokens",
    "view.lens('dog')": "SelectionError: 'dog' (str) names no tokens",
    "view.lens(dog, k='all')": "SelectionError: A number from 1 to ",
    "view.lens(dog, track=1.5)": "SelectionError: 1.5 is not a word",
    "view.lens(dog).top('five')": "SelectionError: A number from 1 to ",
    "view.lens(dog, 3)": "InterventionError: 3 (int) is not an intervention",
    "view.integrated_gradients(1.5)": "SelectionError: 1.5 is not a word",
    "view.rollout().top(0)": "SelectionError: A number from 1 to 144 is needed; got 0",
}

TAKEN = (
    "view.answer(rs.Ablate(np.array([5, 6])))",
    "view.answer(rs.Ablate(5))",
    "view.answer(rs.Knockout(view.last, dog, 5, heads=1))",
    "view.answer(rs.Knockout(view.last, dog, np.arange(3), heads=torch.tensor([1])))",
    "view.answer(rs.Steer(dog, np.int64(2), np.ones(192), scale=2))",
    "view.answer([rs.Ablate(dog)])",
    "view.tokens.at([5, 6])",
    "view.lens(dog, track=3)",
    "view.tokens.at(torch.tensor([5, 6]))",
    "vlm.look(view.image, 'Is it?', max_new_tokens=0)",
)


@pytest.fixture(scope="module")
def found() -> Mapping[str, str]:
    asked = json.dumps([*REFUSED, *TAKEN])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=asked, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("line", REFUSED)
def test_it_is_said_what_is_expected(line, found):
    assert REFUSED[line] in found[line]
    kind = found[line].partition(":")[0]
    assert kind in ("ModelError", "SampleError", "InterventionError", "SelectionError")
    assert len(found[line]) < 700


@pytest.mark.parametrize("line", TAKEN)
def test_what_is_meant_is_taken(line, found):
    assert found[line].startswith("taken: ")


def test_every_public_call_says_what_it_expects() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.public_surface"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
