"""Every public call with something of a wrong type in the place of each argument, one at a time.

Run by `tests.test_wrong_types` as a program of its own: in the tests every annotation is checked,
and the check would speak first. Prints, as JSON, each call that did not say what it expects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

import retinoscope as rs

WRONG: Mapping[str, Any] = {
    "an object": object(),
    "a float": 3.7,
    "a text": "zzz",
    "not a number": float("nan"),
    "a list of objects": [object()],
    "a mapping": {"a": 1},
    "a class": int,
    "bytes": b"x",
    "a huge number": 10**30,
    "None": None,
}
NEVER = ("an object", "a list of objects", "a mapping", "a class", "bytes")
"""What no argument can mean."""

Call = tuple[Callable[..., Any], dict[str, Any]]


def calls() -> dict[str, Call]:
    """Each public call with arguments that are right."""
    image, other = Image.new("RGB", (192, 192)), Image.new("RGB", (192, 192), "red")
    vlm = rs.load("embedded", mean=torch.zeros(192), device="cpu")
    question = "Is there a dog in this image?"
    view, red = (vlm.look(one, question, max_new_tokens=2) for one in (image, other))
    dog, vector = view.tokens.box(20, 40, 90, 110), torch.zeros(192)
    ablate, lens, said = rs.Ablate(dog), view.lens(dog, k=2), view.evaluate([()])

    def applied(make: Callable[..., Any]) -> Callable[..., Any]:
        return lambda **given: view.evaluate([make(**given)])

    interventions: dict[str, Call] = {
        "Ablate": (applied(rs.Ablate), {"tokens": dog, "value": "zero"}),
        "Noise": (applied(lambda seed: rs.Ablate(dog, rs.Noise(seed))), {"seed": 0}),
        "Knockout": (
            applied(rs.Knockout),
            {"queries": view.last, "keys": dog, "layers": [1], "heads": [0]},
        ),
        "Steer": (
            applied(rs.Steer),
            {"tokens": dog, "layer": 1, "direction": vector, "scale": 1.0},
        ),
        "Site": (rs.Site, {"name": "z", "layer": 1}),
    }
    of_a_word = ("chefer", "integrated_gradients", "gradient_x_input", "ablation_effects")
    return {
        **interventions,
        "mean_token": (
            rs.mean_token,
            {"model": vlm, "images": [image], "per_position": False, "progress": None},
        ),
        "answers": (rs.answers, {"views": [view], "conditions": [()]}),
        "yes": (rs.yes, {"view": view, "conditions": [()]}),
        "interchange": (
            lambda clean, corrupt: rs.interchange(clean, corrupt, right="Yes", wrong="No"),
            {"clean": view, "corrupt": red},
        ),
        "explain": (lambda vlm: rs.explain_poll(vlm, image, "dog"), {"vlm": vlm}),
        "results.read": (rs.results.read, {"path": "nowhere"}),
        "look": (
            vlm.look,
            {"prompt": image, "question": "Is it?", "prefix": "", "max_new_tokens": 1},
        ),
        "with_mean": (vlm.with_mean, {"mean": vector}),
        "answer": (lambda one: view.answer(one), {"one": ablate}),
        "view.answers": (view.answers, {"conditions": [ablate]}),
        "teacher_forced": (view.teacher_forced, {"conditions": [ablate]}),
        "before": (view.before, {"word": 0}),
        "evaluate": (view.evaluate, {"conditions": [ablate]}),
        "top": (view.top, {"k": 3}),
        "lens": (view.lens, {"tokens": dog, "k": 2, "track": "dog", "by": None}),
        "capture": (view.capture, {"sites": "attn_out", "layers": 1, "positions": dog}),
        "attention": (view.attention, {"layer": 1, "head": 1}),
        "gradient": (view.gradient, {"of": "dog", "sites": "resid_mid.1", "positions": dog}),
        "logit_attribution": (
            view.logit_attribution,
            {"word": "dog", "tokens": None, "layer": None, "against": None},
        ),
        "towards": (
            view.towards,
            {"word": "dog", "tokens": dog, "layer": 1, "strength": 1.0, "against": "cat"},
        ),
        "to_transformer_lens": (lambda one: view.to_transformer_lens(one), {"one": ablate}),
        "rollout": (view.rollout, {"residual": 0.5, "without": None}),
        "attribution_patching": (view.attribution_patching, {"of": "dog", "baseline": vector}),
        "under": (view.tokens.under, {"mask": np.ones((192, 192), bool), "overlap": 0.0}),
        "box": (view.tokens.box, {"x0": 1, "y0": 1, "x1": 50, "y1": 50}),
        "row": (view.tokens.row, {"index": 1}),
        "word": (view.tokens.word, {"sought": "dog"}),
        "at": (lambda one: view.tokens.at(one), {"one": 5}),
        "dilate": (dog.dilate, {"steps": 1}),
        "draw": (dog.draw, {"size": 2, "seed": 0}),
        "lens.top": (lens.top, {"k": 2}),
        "lens.words": (lens.words, {"k": 2}),
        "lens.frame": (lens.frame, {"k": 2}),
        "predictions.top": (said.top, {"k": 2}),
        "predictions.frame": (said.frame, {"k": 2}),
        "scores.top": (view.raw_attention().top, {"count": 2}),
        **{name: (getattr(view, name), {_first(getattr(view, name)): "dog"}) for name in of_a_word},
    }


def _first(method: Any) -> str:
    return method.__code__.co_varnames[1]


def unsaid() -> list[str]:
    """The calls that took what can't be meant, or failed without saying what they expect."""
    found = []
    for name, (call, right) in calls().items():
        call(**right) if name != "results.read" else None
        for argument in right:
            for what, wrong in WRONG.items():
                place = f"{name}({argument}={what})"
                try:
                    call(**{**right, argument: wrong})
                except rs.RetinoscopeError as error:
                    if len(str(error)) > 900 or " " not in str(error):
                        found.append(f"{place} said {str(error)[:200]}")
                except Exception as error:
                    found.append(f"{place} raised {type(error).__name__}: {str(error)[:200]}")
                else:
                    if what in NEVER:
                        found.append(f"{place} was taken")
    return found


if __name__ == "__main__":
    print(json.dumps(unsaid(), indent=1))
