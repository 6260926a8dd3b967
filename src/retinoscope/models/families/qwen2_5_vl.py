"""Qwen2.5-VL: Qwen2-VL's layout; the tower's window order is undone before the language model."""

from retinoscope.models.families import qwen2_vl
from retinoscope.models.family import PROVED, RELEASED, RESAMPLED, VIDEOS, Family

FAMILY = Family(
    name="Qwen2.5-VL",
    model_types=("qwen2_5_vl",),
    grid=qwen2_vl.grid,
    prompt=qwen2_vl.PROMPT,
    image=qwen2_vl.IMAGE,
    videos=qwen2_vl.FRAMES,
    verified=(*PROVED, VIDEOS),
    unverified=(RELEASED, RESAMPLED),
)
