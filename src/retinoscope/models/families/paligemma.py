"""PaliGemma: the squeezed image, one token for each patch, in a prefix that attends both ways."""

from retinoscope.models.families import llava
from retinoscope.models.family import PROVED, RELEASED, Family

FAMILY = Family(
    name="PaliGemma",
    model_types=("paligemma",),
    grid=llava.grid,
    prompt="{image}answer en {question}",
    verified=PROVED,
    unverified=(RELEASED,),
)
