"""Choices of image processors whose modules can't be imported without torchvision.

The pure-Python functions that choose sizes and tiles are compiled from the module's source, so
that the layout is decided by the real code; a test's stand-in only resizes and cuts.
"""

from __future__ import annotations

import ast
import importlib.util
import math
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any

import numpy as np

KNOWN = {"math": math, "lru_cache": lru_cache, "reduce": reduce, "np": np}


def choosers(model_type: str, *names: str) -> dict[str, Any]:
    """Functions and methods of a model's image processor by name.

    Args:
        model_type: the model's folder in transformers.
        names: what to compile; what they call in the module must be among them.
    """
    package = importlib.util.find_spec(f"transformers.models.{model_type}")
    assert package is not None and package.origin is not None
    source = Path(package.origin).with_name(f"image_processing_{model_type}.py").read_text()
    kept = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name in names
    ]
    assert sorted(node.name for node in kept) == sorted(names)
    found: dict[str, Any] = dict(KNOWN)
    exec(compile(ast.Module(list(kept), []), model_type, "exec"), found)
    return {name: found[name] for name in names}
