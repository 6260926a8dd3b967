"""GLM-4.1V, 4.5V, 4.6V and GLM-OCR: the image in its own shape, 2 x 2 patches merged."""

from retinoscope.models.families import qwen2_vl
from retinoscope.models.family import PROVED, RELEASED, Family

FAMILY = Family(
    name="GLM-V",
    model_types=("glm4v", "glm4v_moe", "glm46v", "glm_ocr"),
    grid=qwen2_vl.grid,
    prompt="[gMASK]<sop><|user|>\n{image}{question}<|assistant|>\n",
    image="<|begin_of_image|>{token}<|end_of_image|>",
    verified=PROVED,
    unverified=(RELEASED,),
)
