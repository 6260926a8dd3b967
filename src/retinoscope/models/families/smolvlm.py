"""SmolVLM: Idefics3's layout."""

from retinoscope.models.families import idefics3
from retinoscope.models.family import PROVED, RELEASED, Family

FAMILY = Family(
    name="SmolVLM",
    model_types=("smolvlm",),
    grid=idefics3.grid,
    prompt="<|im_start|>User:{image}{question}<end_of_utterance>\nAssistant:",
    verified=PROVED,
    unverified=(
        RELEASED,
        "transformers asks for the package num2words, even for images alone",
    ),
)
