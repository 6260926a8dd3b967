"""Tiny vision-language models of random weights, one builder for each family, with raw inputs.

Real transformers classes; no hub, no processor. `build(name)` gives a checkpoint and an encoded
prompt as the engine takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers as hf
from torch import Tensor

from retinoscope.geometry import PatchGrid, Tile
from retinoscope.models import Checkpoint, Encoded, Family
from retinoscope.models.checkpoint import find_parts
from retinoscope.tokens import TokenLayout, VisualSpan

VOCABULARY, IMAGE, VIDEO, START, END = 200, 199, 198, 197, 196
WIDTH, LAYERS, HEADS, GROUPS = 64, 4, 4, 2
BEFORE, AFTER = (1, 5, 6, 7), (8, 9, 10, 11, 12, 13)


@dataclass(frozen=True)
class Built:
    """A model and what goes into it.

    Attributes:
        model: random weights, float32, eval mode.
        inputs: what the model is called with.
        visual: how many positions hold the image; the prompt's are found by IMAGE.
    """

    model: hf.PreTrainedModel
    inputs: dict[str, Tensor]
    extra: dict[str, Any] = field(default_factory=dict)


BUILDERS: dict[str, Callable[[], Built]] = {}


def family(builder: Callable[[], Built]) -> Callable[[], Built]:
    """Register a builder under its own name."""
    BUILDERS[builder.__name__] = builder
    return builder


def build(name: str, dtype: torch.dtype = torch.float32) -> tuple[Checkpoint, Encoded]:
    """A family's checkpoint and prompt."""
    built = BUILDERS[name]()
    model = built.model.to(dtype)
    inputs = {k: v.to(dtype) if v.is_floating_point() else v for k, v in built.inputs.items()}
    none = Family(name, (), lambda *_: PatchGrid((1, 1), (Tile(1, 1, (0, 0, 1, 1)),)))
    checkpoint = Checkpoint(name, "", {}, model, None, none, find_parts(model))
    ids = inputs["input_ids"][0]
    positions = tuple(torch.nonzero(ids == IMAGE).flatten().tolist())
    spans = (VisualSpan(positions, _row(len(positions))),) if positions else ()
    return checkpoint, Encoded(inputs, TokenLayout(len(ids), spans), "")


def _row(cells: int) -> PatchGrid:
    return PatchGrid((cells, 1), (Tile(1, cells, (0, 0, cells, 1)),))


def _random(model: hf.PreTrainedModel, seed: int = 0) -> hf.PreTrainedModel:
    """Weights large enough that every layer, head and gate matters."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            spread = 0.08 if parameter.shape[-1] > 48 else 0.15
            parameter.data.normal_(0, spread, generator=generator)
        elif "bias" in name:
            parameter.data.normal_(0, 0.02, generator=generator)
        elif "gate" in name or name.endswith(("scale", "lambda", "gamma")):
            parameter.data.normal_(0.5, 0.1, generator=generator)
    for module in model.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim == 1:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    return model.eval().float()


def _pixels(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def _text(**changes: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    } | changes


def _llama() -> hf.LlamaConfig:
    return hf.LlamaConfig(**_text())


def _qwen() -> hf.Qwen2Config:
    return hf.Qwen2Config(**_text())


def _mistral() -> hf.MistralConfig:
    return hf.MistralConfig(**_text(head_dim=16, sliding_window=None))


SMALL_TOWER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
}


def _clip(size: int = 56) -> hf.CLIPVisionConfig:
    tower = SMALL_TOWER | {"num_hidden_layers": 3, "image_size": size}
    return hf.CLIPVisionConfig(**tower, projection_dim=32)


def _siglip(size: int = 56) -> hf.SiglipVisionConfig:
    tower = SMALL_TOWER | {"num_hidden_layers": 3, "image_size": size}
    return hf.SiglipVisionConfig(**tower, vision_use_head=False)


def _prompt(
    model: hf.PreTrainedModel,
    images: Mapping[str, Tensor],
    *,
    before: tuple[int, ...] = BEFORE,
    after: tuple[int, ...] = AFTER,
    count: int | None = None,
    types: str | None = None,
    wrapped: bool = False,
    **others: Tensor,
) -> dict[str, Tensor]:
    """Text, as many image tokens as the model makes of the image, and text again."""
    if count is None:
        with torch.no_grad():
            features = model.get_image_features(**images, return_dict=True).pooler_output
        count = _rows(features)
    if wrapped:
        before, after = (*before, START), (END, *after)
    ids = torch.tensor([[*before, *[IMAGE] * count, *after]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **images, **others}
    if types is not None:
        inputs[types] = (ids == IMAGE).long()
    return inputs


def _rows(features: Any) -> int:
    """How many vectors nested features hold."""
    if isinstance(features, Tensor):
        return features.numel() // features.shape[-1]
    return sum(_rows(part) for part in features)


def _built(model: hf.PreTrainedModel, images: Mapping[str, Tensor], **options: Any) -> Built:
    model = _random(model)
    return Built(model, _prompt(model, images, **options))


@family
def llava() -> Built:
    config = hf.LlavaConfig(
        vision_config=_clip(),
        text_config=_llama(),
        image_token_index=IMAGE,
        vision_feature_layer=-2,
    )
    model = hf.LlavaForConditionalGeneration(config)
    return _built(model, {"pixel_values": _pixels(1, 3, 56, 56)})


@family
def vipllava() -> Built:
    config = hf.VipLlavaConfig(
        vision_config=_clip(),
        text_config=_llama(),
        image_token_index=IMAGE,
        vision_feature_layers=[-2, -1],
    )
    model = hf.VipLlavaForConditionalGeneration(config)
    return _built(model, {"pixel_values": _pixels(1, 3, 56, 56)})


PINPOINTS = [[28, 56], [56, 28], [56, 56]]
TILES = {"pixel_values": _pixels(1, 5, 3, 28, 28), "image_sizes": torch.tensor([[50, 56]])}


@family
def llava_next() -> Built:
    config = hf.LlavaNextConfig(
        vision_config=_clip(28),
        text_config=_llama(),
        image_token_index=IMAGE,
        image_grid_pinpoints=PINPOINTS,
    )
    return _built(hf.LlavaNextForConditionalGeneration(config), TILES)


@family
def llava_onevision() -> Built:
    config = hf.LlavaOnevisionConfig(
        vision_config=_siglip(28),
        text_config=_qwen(),
        image_token_index=IMAGE,
        video_token_index=VIDEO,
        image_grid_pinpoints=PINPOINTS,
    )
    return _built(hf.LlavaOnevisionForConditionalGeneration(config), TILES)


@family
def internvl() -> Built:
    tower = SMALL_TOWER | {"image_size": [56, 56], "patch_size": [14, 14]}
    config = hf.InternVLConfig(
        vision_config=tower, text_config=_qwen(), image_token_id=IMAGE, image_seq_length=4
    )
    model = hf.InternVLForConditionalGeneration(config)
    return _built(model, {"pixel_values": _pixels(3, 3, 56, 56)})


def _pixtral(patch: int) -> hf.PixtralVisionConfig:
    tower = SMALL_TOWER | {"num_attention_heads": 2, "patch_size": patch}
    return hf.PixtralVisionConfig(**tower)


TALL = {"pixel_values": _pixels(1, 3, 56, 42), "image_sizes": torch.tensor([[56, 42]])}


@family
def mistral3() -> Built:
    config = hf.Mistral3Config(
        vision_config=_pixtral(7),
        text_config=_mistral(),
        image_token_index=IMAGE,
        spatial_merge_size=2,
    )
    return _built(hf.Mistral3ForConditionalGeneration(config), TALL)


@family
def pixtral() -> Built:
    config = hf.LlavaConfig(
        vision_config=_pixtral(14),
        text_config=_mistral(),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )
    return _built(hf.LlavaForConditionalGeneration(config), TALL)


@family
def idefics3() -> Built:
    config = hf.Idefics3Config(
        vision_config=SMALL_TOWER, text_config=_llama(), image_token_id=IMAGE, scale_factor=2
    )
    model = hf.Idefics3ForConditionalGeneration(config)
    return _built(model, {"pixel_values": _pixels(1, 3, 3, 56, 56)})


@family
def smolvlm() -> Built:
    config = hf.SmolVLMConfig(
        vision_config=SMALL_TOWER, text_config=_llama(), image_token_id=IMAGE, scale_factor=2
    )
    model = hf.SmolVLMForConditionalGeneration(config)
    return _built(model, {"pixel_values": _pixels(1, 3, 3, 56, 56)})


THREE_AXES = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
PATCHES = {"pixel_values": _pixels(8 * 6, 96), "image_grid_thw": torch.tensor([[1, 8, 6]])}
QWEN_TOWER = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "out_hidden_size": WIDTH,
    "num_heads": 4,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
QWEN_TOKENS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
}


def _qwen_built(model: hf.PreTrainedModel) -> Built:
    return _built(model, PATCHES, types="mm_token_type_ids", wrapped=True)


@family
def qwen2_vl() -> Built:
    tower = {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": WIDTH,
        "num_heads": 4,
        "mlp_ratio": 2,
        "patch_size": 4,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    text = _text(rope_parameters=THREE_AXES)
    config = hf.Qwen2VLConfig(vision_config=tower, text_config=text, **QWEN_TOKENS)
    return _qwen_built(hf.Qwen2VLForConditionalGeneration(config))


@family
def qwen2_5_vl() -> Built:
    tower = QWEN_TOWER | {"window_size": 16, "fullatt_block_indexes": [1]}
    text = _text(rope_parameters=THREE_AXES)
    config = hf.Qwen2_5_VLConfig(vision_config=tower, text_config=text, **QWEN_TOKENS)
    return _qwen_built(hf.Qwen2_5_VLForConditionalGeneration(config))


@family
def qwen3_vl() -> Built:
    tower = QWEN_TOWER | {
        "depth": 4,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1, 2],
    }
    text = _text(head_dim=16, rope_parameters=THREE_AXES | {"mrope_interleaved": True})
    config = hf.Qwen3VLConfig(vision_config=tower, text_config=text, **QWEN_TOKENS)
    return _qwen_built(hf.Qwen3VLForConditionalGeneration(config))


@family
def qwen3_5() -> Built:
    rope = THREE_AXES | {
        "mrope_section": [1, 1, 0],
        "partial_rotary_factor": 0.25,
        "mrope_interleaved": True,
    }
    text = _text(
        head_dim=16,
        rope_parameters=rope,
        layer_types=["linear_attention", "full_attention"] * 2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
    )
    tower = QWEN_TOWER | {"num_position_embeddings": 64}
    config = hf.Qwen3_5Config(vision_config=tower, text_config=text, **QWEN_TOKENS)
    return _qwen_built(hf.Qwen3_5ForConditionalGeneration(config))


@family
def aya_vision() -> Built:
    text = hf.Cohere2Config(
        **_text(
            sliding_window=9,
            layer_types=["sliding_attention"] * 3 + ["full_attention"],
            logit_scale=0.25,
        )
    )
    config = hf.AyaVisionConfig(
        vision_config=_siglip(), text_config=text, image_token_index=IMAGE, vision_feature_layer=-1
    )
    model = hf.AyaVisionForConditionalGeneration(config)
    return _built(model, {"pixel_values": _pixels(2, 3, 56, 56)})


@family
def gemma3() -> Built:
    text = _text(
        head_dim=16,
        sliding_window=9,
        layer_types=["sliding_attention", "full_attention"] * 2,
        query_pre_attn_scalar=16,
        final_logit_softcapping=5.0,
    )
    config = hf.Gemma3Config(
        vision_config=_siglip().to_dict(),
        text_config=text,
        mm_tokens_per_image=16,
        image_token_index=IMAGE,
        boi_token_index=START,
        eoi_token_index=END,
    )
    model = hf.Gemma3ForConditionalGeneration(config)
    images = {"pixel_values": _pixels(1, 3, 56, 56)}
    return _built(model, images, types="token_type_ids", wrapped=True)


def _paligemma(text: hf.PreTrainedConfig) -> Built:
    config = hf.PaliGemmaConfig(
        vision_config=_siglip(),
        text_config=text,
        image_token_index=IMAGE,
        projection_dim=WIDTH,
        hidden_size=WIDTH,
        tie_word_embeddings=False,
    )
    model = _random(hf.PaliGemmaForConditionalGeneration(config))
    images = {"pixel_values": _pixels(1, 3, 56, 56)}
    inputs = _prompt(model, images, before=(), after=(1, *AFTER))
    prefix = torch.zeros_like(inputs["input_ids"])
    return Built(model, inputs | {"token_type_ids": prefix})


@family
def paligemma() -> Built:
    return _paligemma(hf.GemmaConfig(**_text(head_dim=16, tie_word_embeddings=False)))


@family
def paligemma2() -> Built:
    return _paligemma(
        hf.Gemma2Config(**_text(head_dim=16, sliding_window=8, tie_word_embeddings=False))
    )


@family
def lfm2_vl() -> Built:
    tower = hf.Siglip2VisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_patches=16,
        patch_size=14,
        vision_use_head=False,
    )
    text = hf.Lfm2Config(**_text(layer_types=["conv", "full_attention"] * 2, block_multiple_of=16))
    config = hf.Lfm2VlConfig(
        vision_config=tower,
        text_config=text,
        image_token_id=IMAGE,
        downsample_factor=2,
        projector_hidden_size=32,
    )
    images = {
        "pixel_values": _pixels(1, 16, 14 * 14 * 3),
        "spatial_shapes": torch.tensor([[4, 4]]),
        "pixel_attention_mask": torch.ones(1, 16, dtype=torch.long),
    }
    return _built(hf.Lfm2VlForConditionalGeneration(config), images)


@family
def mllama() -> Built:
    tower = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_global_layers": 1,
        "attention_heads": 4,
        "intermediate_size": 64,
        "vision_output_dim": 64,
        "image_size": 28,
        "patch_size": 14,
        "max_num_tiles": 2,
        "intermediate_layers_indices": [1],
        "supported_aspect_ratios": [[1, 1], [1, 2], [2, 1]],
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    text = _text(cross_attention_layers=[1, 3], rope_parameters=rope)
    config = hf.MllamaConfig(vision_config=tower, text_config=text, image_token_index=IMAGE)
    ids = torch.tensor([[1, IMAGE, 5, 6, 7, 8, 9, 10, 11]])
    seen = torch.ones(1, 9, 1, 2, dtype=torch.long)
    seen[:, 0] = 0
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": _pixels(1, 1, 2, 3, 28, 28),
        "aspect_ratio_ids": torch.tensor([[2]]),
        "aspect_ratio_mask": torch.ones(1, 1, 2, dtype=torch.long),
        "cross_attention_mask": seen,
    }
    return Built(_random(hf.MllamaForConditionalGeneration(config)), inputs)


def _blip(model: type, configuration: type, text: dict[str, Any]) -> hf.PreTrainedModel:
    former = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "encoder_hidden_size": 32,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    config = configuration(
        vision_config=SMALL_TOWER,
        qformer_config=former,
        text_config=text,
        num_query_tokens=8,
        image_token_index=IMAGE,
    )
    return _random(model(config))


@family
def instructblip() -> Built:
    text = _llama().to_dict() | {"model_type": "llama"}
    model = _blip(hf.InstructBlipForConditionalGeneration, hf.InstructBlipConfig, text)
    question = torch.tensor([[3, 4, 5]])
    inputs = _prompt(
        model,
        {"pixel_values": _pixels(1, 3, 56, 56)},
        before=(),
        after=(1, *AFTER),
        count=8,
        qformer_input_ids=question,
        qformer_attention_mask=torch.ones_like(question),
    )
    return Built(model, inputs)


@family
def blip2() -> Built:
    text = hf.OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        ffn_dim=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=512,
        word_embed_proj_dim=WIDTH,
        bos_token_id=2,
        pad_token_id=1,
        eos_token_id=2,
    ).to_dict()
    model = _blip(hf.Blip2ForConditionalGeneration, hf.Blip2Config, text)
    images = {"pixel_values": _pixels(1, 3, 56, 56)}
    return Built(model, _prompt(model, images, before=(), after=(2, *AFTER), count=8))


@family
def florence2() -> Built:
    tower = {
        "depths": [1, 1, 1, 1],
        "embed_dim": [16, 16, 32, 32],
        "num_heads": [2, 2, 2, 2],
        "num_groups": [2, 2, 2, 2],
        "window_size": 4,
        "projection_dim": WIDTH,
        "drop_path_rate": 0.0,
    }
    text = hf.BartConfig(
        vocab_size=VOCABULARY,
        d_model=WIDTH,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=2 * WIDTH,
        decoder_ffn_dim=2 * WIDTH,
        max_position_embeddings=256,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    ).to_dict()
    config = hf.Florence2Config(vision_config=tower, text_config=text, image_token_id=IMAGE)
    model = hf.Florence2ForConditionalGeneration(config)
    images = {"pixel_values": _pixels(1, 3, 128, 128)}
    begun = torch.tensor([[2, 4, 5, 6]])
    return _built(model, images, before=(), decoder_input_ids=begun)


@family
def gemma3n_text() -> Built:
    config = hf.Gemma3nTextConfig(
        **_text(
            head_dim=16,
            num_hidden_layers=6,
            sliding_window=9,
            layer_types=["sliding_attention", "full_attention"] * 3,
            num_kv_shared_layers=2,
            vocab_size_per_layer_input=VOCABULARY,
            hidden_size_per_layer_input=8,
            altup_num_inputs=2,
            laurel_rank=8,
            activation_sparsity_pattern=[0.0] * 6,
            intermediate_size=[2 * WIDTH] * 6,
        )
    )
    return _text_only(hf.Gemma3nForCausalLM(config))


@family
def gpt_oss_text() -> Built:
    """Attention sinks and a mixture of experts."""
    config = hf.GptOssConfig(
        **_text(
            head_dim=16,
            num_local_experts=4,
            num_experts_per_tok=2,
            sliding_window=9,
            layer_types=["sliding_attention", "full_attention"] * 2,
        )
    )
    return _text_only(hf.GptOssForCausalLM(config))


def _text_only(model: hf.PreTrainedModel) -> Built:
    ids = torch.arange(5, 30)[None]
    return Built(_random(model), {"input_ids": ids, "attention_mask": torch.ones_like(ids)})
