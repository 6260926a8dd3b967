"""Qwen3-VL: Qwen2-VL's layout; features of the tower's middle layers are added on the way up.

The additions (DeepStack) go to the same positions: a visual token keeps its cell at every layer.
Before each pair of a video's frames stands the time, and marks of their own around them.
"""

from dataclasses import replace

from retinoscope.models.families import qwen2_vl
from retinoscope.models.family import PROVED, RELEASED, RESAMPLED, VIDEOS, Family

FAMILY = Family(
    name="Qwen3-VL",
    model_types=("qwen3_vl", "qwen3_vl_moe"),
    grid=qwen2_vl.grid,
    prompt=qwen2_vl.PROMPT,
    image=qwen2_vl.IMAGE,
    videos=replace(qwen2_vl.FRAMES, form="{token}"),
    verified=(*PROVED, VIDEOS),
    unverified=(RELEASED, RESAMPLED),
)
