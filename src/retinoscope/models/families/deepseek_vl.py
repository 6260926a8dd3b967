"""DeepSeek-VL: Janus's padded square before a SigLIP tower."""

from retinoscope.models.families import janus
from retinoscope.models.family import PROVED, RELEASED, Family

FAMILY = Family(
    name="DeepSeek-VL",
    model_types=("deepseek_vl",),
    grid=janus.grid,
    prompt="User: {image}{question}\n\nAssistant:",
    verified=PROVED,
    unverified=(RELEASED,),
)
