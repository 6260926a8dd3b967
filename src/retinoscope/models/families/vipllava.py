"""ViP-LLaVA: LLaVA-1.5's view; several layers of the tower make one token for each patch."""

from retinoscope.models.families import llava
from retinoscope.models.family import PROVED, RELEASED, Family

FAMILY = Family(
    name="ViP-LLaVA",
    model_types=("vipllava",),
    grid=llava.grid,
    prompt="###Human: {image}\n{question}###Assistant:",
    verified=PROVED,
    unverified=(RELEASED,),
)
