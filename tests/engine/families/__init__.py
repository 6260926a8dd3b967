"""Tiny vision-language models of random weights, one builder for each family, with raw inputs.

Real transformers classes; no hub, no processor. `build(name)` gives a checkpoint and an encoded
prompt as the engine takes them.
"""

from tests.engine.families import elsewhere, gemma, odd, other_mixers, plain_grids, qwen
from tests.engine.families.parts import AFTER, BUILDERS, ODD, VOCABULARY, build

__all__ = [
    "AFTER",
    "BUILDERS",
    "ODD",
    "VOCABULARY",
    "build",
    "elsewhere",
    "gemma",
    "odd",
    "other_mixers",
    "plain_grids",
    "qwen",
]
