"""Write the folder that `transformers` loads: `python -m recipes.embedded.export`.

It reads weights as `recipes.embedded.train` writes them, once they are finished; where they never
are, it takes what was written last.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor
from transformers import GenerationConfig, LlavaForConditionalGeneration, LlavaProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from recipes.embedded.architecture import llava_config
from recipes.embedded.render import read_words
from recipes.embedded.text import make_tokenizer
from recipes.embedded.together import embedded_shape
from recipes.embedded.words import Words
from recipes.stack.packing import unpack
from recipes.stack.shape import PATCH, PIXEL_MEAN, PIXEL_STD, Shape
from retinoscope.data.scenes.layout import SIZE

# LLaVA-1.5's plain form, the image first whatever its place in the message.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}USER: {% else %}ASSISTANT: {% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %} "
    "{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


PARTS = {
    "tower": "model.vision_tower",
    "connector": "model.multi_modal_projector",
    "decoder/model": "model.language_model",
    "decoder/lm_head": "lm_head",
}
"""What `transformers` calls the parts of a model."""


def make_processor(words: Words) -> LlavaProcessor:
    """Build the processor: Pillow image processor, word-level tokenizer, chat template."""
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=[PIXEL_MEAN] * 3,
        image_std=[PIXEL_STD] * 3,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=make_tokenizer(words),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        image_token="<image>",
        num_additional_image_tokens=1,
    )


def assemble(
    weights: dict[str, Tensor], shape: Shape, words: Words, tower: Shape | None = None
) -> LlavaForConditionalGeneration:
    """Put weights into one model.

    Args:
        weights: by the part and the name that `recipes.stack.unstack` gives them, "tower/...".
        shape: of the model.
        words: its vocabulary.
        tower: the tower's shape, where it is another one.
    """
    tokens = make_tokenizer(words)
    model = LlavaForConditionalGeneration(llava_config(shape, tokens, tower))
    known = model.state_dict()
    named = {_name(key, known): weight.float() for key, weight in weights.items()}
    model.load_state_dict(named)
    model.generation_config = GenerationConfig(
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
        max_new_tokens=40,
        do_sample=False,
    )
    return model.eval()


def _name(key: str, known: dict[str, Tensor]) -> str:
    """Return what a weight is called in the whole model."""
    for part, prefix in PARTS.items():
        at = f"{part}/" if "/" not in part else f"{part}."
        if key.startswith(at):
            name = f"{prefix}.{key[len(at) :]}"
            # Some versions keep CLIP's transformer one level further down.
            deeper = f"{prefix}.vision_model.{key[len(at) :]}"
            return deeper if name not in known and deeper in known else name
    raise KeyError(f"weight {key!r} belongs to none of the parts {list(PARTS)}")


def export(weights: dict[str, Tensor], shape: Shape, words: Words, target: Path) -> None:
    """Write model (float16), processor, tokenizer and chat template into a folder."""
    target.mkdir(parents=True, exist_ok=True)
    make_processor(words).save_pretrained(target)
    assemble(weights, shape, words).half().save_pretrained(target)
    # safetensors writes files that their owner alone may read.
    (target / "model.safetensors").chmod(0o644)


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Return the weights of an exported folder by the names that `export` takes."""
    found = {}
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float16)
    for name, weight in model.state_dict().items():
        part, prefix = next(
            (part, prefix) for part, prefix in PARTS.items() if name.startswith(f"{prefix}.")
        )
        rest = name.removeprefix(f"{prefix}.").removeprefix("vision_model.")
        found[f"{part}{'.' if '/' in part else '/'}{rest}"] = weight
    return found


def main() -> None:
    """Wait for weights and export them; a file DONE says that the folder is whole."""
    parser = argparse.ArgumentParser(prog="python -m recipes.embedded.export", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where the vocabulary is")
    parser.add_argument("--weights", type=Path, required=True, help="an .npz file")
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--after", type=Path, help="a file that says that the weights are finished")
    parser.add_argument("--until", type=float, default=0.0, help="seconds since 1970 to wait till")
    given = parser.parse_args()
    while given.after and not given.after.exists() and time.time() < given.until:
        time.sleep(0.1)
    finished = given.after is None or given.after.exists()
    words = read_words(given.work)
    shape = embedded_shape(len(words.vocabulary))
    export(unpack(given.weights), shape, words, given.target)
    state = "finished" if finished else "unfinished"
    (given.target / "DONE").write_text(f"{state}\n", "utf-8")
    print("exported", given.weights, state, flush=True)


if __name__ == "__main__":
    main()
