"""LLaVA-1.5 and its kin: one view of the image, one token for each patch.

With a CLIP tower the view is a centre crop, with a SigLIP tower the squeezed image; with a Pixtral
tower (mistral-community/pixtral-12b) it keeps the image's shape, and rows end with a break token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retinoscope.errors import TokenMapError
from retinoscope.geometry import PatchGrid
from retinoscope.models.families import mistral3
from retinoscope.models.family import PROVED, RELEASED, Family
from retinoscope.models.views import one_view, view_box


def grid(
    config: Any, processor: Any, size: tuple[int, int], inputs: Mapping[str, Any], image: int
) -> PatchGrid:
    """The patches of the resized (and, for CLIP, centre-cropped) view.

    Args:
        config: the model's config, for the tower's patch size.
        processor: the model's processor, for how it resizes.
        size: (width, height) of the original image.
        inputs: the processor's outputs, for the size of the view.
        image: the image's index.
    """
    if config.vision_config.model_type == "pixtral":
        return mistral3.grid(config, processor, size, inputs, image)
    patch = config.vision_config.patch_size
    height, width = inputs["pixel_values"].shape[-2:]
    if height % patch or width % patch:
        raise TokenMapError(
            f"The view is {width} x {height} pixels, which patches of {patch} don't divide; the "
            "processor does not fit the model."
        )
    return one_view(
        size, view_box(processor.image_processor, size), (height // patch, width // patch)
    )


PLAIN = "USER: {image}\n{question} ASSISTANT:"
PHI = "<|user|>\n{image}{question}<|end|>\n<|assistant|>\n"


def prompt(processor: Any) -> str:
    """How the language model was spoken to: LLaVA-Phi (xtuner) marks turns, LLaVA-1.5 names them.

    Both are `llava` models with a Llama decoder in their files; their tokenizers tell them apart.
    """
    marks = {"<|user|>", "<|end|>", "<|assistant|>"}
    return PHI if marks <= processor.tokenizer.get_vocab().keys() else PLAIN


FAMILY = Family(
    name="LLaVA-1.5",
    model_types=("llava",),
    grid=grid,
    prompt=prompt,
    verified=PROVED,
    unverified=(RELEASED,),
)
