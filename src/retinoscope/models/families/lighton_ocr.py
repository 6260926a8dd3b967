"""LightOnOCR: Mistral 3's layout without row breaks."""

from retinoscope.models.families import mistral3
from retinoscope.models.family import PROVED, RELEASED, Family

FAMILY = Family(
    name="LightOnOCR",
    model_types=("lighton_ocr",),
    grid=mistral3.grid,
    prompt="<|im_start|>user\n{image}{question}<|im_end|>\n<|im_start|>assistant\n",
    verified=PROVED,
    unverified=(RELEASED,),
)
