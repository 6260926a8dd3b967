"""LLaVA-NeXT-Video: LLaVA-NeXT's layout; only images are looked at."""

from retinoscope.models.families import llava_next
from retinoscope.models.family import PROVED, RELEASED, Family

FAMILY = Family(
    name="LLaVA-NeXT-Video",
    model_types=("llava_next_video",),
    grid=llava_next.grid,
    slots=llava_next.slots,
    prompt="USER: {image}\n{question} ASSISTANT:",
    verified=PROVED,
    unverified=(RELEASED, "videos, which are not looked at"),
)
