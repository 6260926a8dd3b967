"""Qwen3.5: Qwen3-VL's layout before a language model with linear attention."""

from retinoscope.models.families import qwen2_vl, qwen3_vl
from retinoscope.models.family import PROVED, RELEASED, RESAMPLED, VIDEOS, Family

FAMILY = Family(
    name="Qwen3.5",
    model_types=("qwen3_5", "qwen3_5_moe"),
    grid=qwen2_vl.grid,
    prompt=qwen2_vl.PROMPT,
    image=qwen2_vl.IMAGE,
    videos=qwen3_vl.FAMILY.videos,
    verified=(*PROVED, VIDEOS),
    unverified=(RELEASED, RESAMPLED),
)
