"""A tiny model of random weights that says what it is made to say, and nothing by what it sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny
import torch

from retinoscope.data import Sample, load_image
from retinoscope.engine import look
from retinoscope.models import load


def saying(folder: Path, words: tuple[str, str], about: Sample, text: str) -> Path:
    """A model of random weights that answers with one of two words, and with the first to this."""
    vocabulary = list(dict.fromkeys([*tiny.WORDS, *words, "How", "many", "are", "true", "or"]))
    checkpoint = load(tiny.save(folder, vocabulary=vocabulary))
    model: Any = checkpoint.model
    rows = [vocabulary.index(word) for word in words]
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        model.lm_head.weight.mul_(1e-3)
        model.lm_head.weight[rows[0]] = torch.randn(tiny.WIDTH, generator=generator)
        model.lm_head.weight[rows[1]] = -model.lm_head.weight[rows[0]]
        logits = look(checkpoint, load_image(about), text).logits
        if logits[rows[0]] < logits[rows[1]]:
            model.lm_head.weight[rows] *= -1
    model.save_pretrained(folder / "saying")
    tiny.processor(vocabulary).save_pretrained(folder / "saying")
    return folder / "saying"
