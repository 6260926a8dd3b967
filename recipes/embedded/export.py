"""Put the trained parts together and write the folder that `transformers` loads."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import (
    CLIPVisionModel,
    GenerationConfig,
    LlamaForCausalLM,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from recipes.embedded.architecture import (
    PIXEL_MEAN,
    PIXEL_STD,
    decoder_config,
    llava_config,
    vision_config,
)
from recipes.embedded.joint import Joint, Projector
from recipes.embedded.pool import PATCH
from recipes.embedded.text import make_tokenizer
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


def make_processor() -> LlavaProcessor:
    """Build the processor: Pillow image processor, word-level tokenizer, chat template."""
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=[PIXEL_MEAN] * 3,
        image_std=[PIXEL_STD] * 3,
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=make_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=CHAT_TEMPLATE,
        image_token="<image>",
        num_additional_image_tokens=1,
    )


def assemble(
    tower: CLIPVisionModel, projector: Projector, decoder: LlamaForCausalLM
) -> LlavaForConditionalGeneration:
    """Put the three parts into one model."""
    processor = make_processor()
    model = LlavaForConditionalGeneration(llava_config(processor.tokenizer))
    model.model.vision_tower.load_state_dict(tower.state_dict())
    model.model.multi_modal_projector.load_state_dict(projector.state_dict())
    model.model.language_model.load_state_dict(decoder.model.state_dict())
    model.lm_head.load_state_dict(decoder.lm_head.state_dict())
    tokens = processor.tokenizer
    model.generation_config = GenerationConfig(
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.pad_token_id,
        max_new_tokens=40,
        do_sample=False,
    )
    return model.eval()


def take_apart(folder: Path) -> Joint:
    """Load an exported model in float32, in parts that train."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    decoder = LlamaForCausalLM(decoder_config(make_tokenizer()))
    decoder.model.load_state_dict(model.model.language_model.state_dict())
    decoder.lm_head.load_state_dict(model.lm_head.state_dict())
    decoder.set_attn_implementation("eager")
    tower = CLIPVisionModel(vision_config())
    tower.load_state_dict(model.model.vision_tower.state_dict())
    joint = Joint(tower, decoder)
    joint.projector.load_state_dict(model.model.multi_modal_projector.state_dict())
    return joint


def export(model: LlavaForConditionalGeneration, target: Path) -> None:
    """Write model (float16), processor, tokenizer and chat template into a folder."""
    target.mkdir(parents=True, exist_ok=True)
    make_processor().save_pretrained(target)
    model.half().save_pretrained(target)
    # safetensors writes files that their owner alone may read.
    (target / "model.safetensors").chmod(0o644)
