"""What fitting knows so far: tensors alone, so that it can be stored between two images."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

State = Mapping[str, Tensor]
"""By name; float64, float32 or int64, on the CPU."""
