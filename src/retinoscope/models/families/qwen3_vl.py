"""Qwen3-VL: Qwen2-VL's layout; features of the tower's middle layers are added on the way up.

The additions (DeepStack) go to the same positions: a visual token keeps its cell at every layer.
"""

from retinoscope.models.families import qwen2_vl
from retinoscope.models.family import PROVED, RELEASED, Family

FAMILY = Family(
    name="Qwen3-VL",
    model_types=("qwen3_vl", "qwen3_vl_moe"),
    grid=qwen2_vl.grid,
    prompt=qwen2_vl.PROMPT,
    image=qwen2_vl.IMAGE,
    verified=PROVED,
    unverified=(RELEASED,),
)
