"""Take one model out of a stack, or put one in, by `transformers`' names of weights."""

from __future__ import annotations

import torch
from torch import Tensor

from recipes.stack.connector import Connector
from recipes.stack.decoder import Decoder
from recipes.stack.shape import PATCH
from recipes.stack.tower import Tower

Weights = dict[str, Tensor]


def _decoder_views(decoder: Decoder, model: int) -> Weights:
    """The stack's own numbers of one model, by the names of `LlamaForCausalLM`."""
    found = {
        "model.embed_tokens.weight": decoder.embed[model],
        "lm_head.weight": decoder.head[model],
        "model.norm.weight": decoder.norm[model],
    }
    for layer in range(decoder.shape.decoder_layers):
        at = f"model.layers.{layer}"
        for number, name in enumerate(("q_proj", "k_proj", "v_proj")):
            found[f"{at}.self_attn.{name}.weight"] = decoder.qkv[model, layer, number].T
        found[f"{at}.self_attn.o_proj.weight"] = decoder.out[model, layer].T
        found[f"{at}.mlp.gate_proj.weight"] = decoder.up[model, layer, 0].T
        found[f"{at}.mlp.up_proj.weight"] = decoder.up[model, layer, 1].T
        found[f"{at}.mlp.down_proj.weight"] = decoder.down[model, layer].T
        found[f"{at}.input_layernorm.weight"] = decoder.attention_norm[model, layer]
        found[f"{at}.post_attention_layernorm.weight"] = decoder.mlp_norm[model, layer]
    return found


def _tower_views(tower: Tower, model: int) -> Weights:
    """The stack's own numbers of one model, by the names of `CLIPVisionModel`."""
    d = tower.shape.width
    found = {
        "embeddings.class_embedding": tower.token[model],
        "embeddings.patch_embedding.weight": tower.patch[model].T.view(d, 3, PATCH, PATCH),
        "embeddings.position_embedding.weight": tower.position[model],
        "pre_layrnorm.weight": tower.first_norm[model],
        "pre_layrnorm.bias": tower.first_shift[model],
    }
    for layer in range(tower.shape.vision_layers):
        at = f"encoder.layers.{layer}"
        for number, name in enumerate(("q_proj", "k_proj", "v_proj")):
            found[f"{at}.self_attn.{name}.weight"] = tower.qkv[model, layer, number].T
            found[f"{at}.self_attn.{name}.bias"] = tower.qkv_bias[model, layer, number]
        found[f"{at}.self_attn.out_proj.weight"] = tower.out[model, layer].T
        found[f"{at}.self_attn.out_proj.bias"] = tower.out_bias[model, layer]
        found[f"{at}.mlp.fc1.weight"] = tower.up[model, layer].T
        found[f"{at}.mlp.fc1.bias"] = tower.up_bias[model, layer]
        found[f"{at}.mlp.fc2.weight"] = tower.down[model, layer].T
        found[f"{at}.mlp.fc2.bias"] = tower.down_bias[model, layer]
        found[f"{at}.layer_norm1.weight"] = tower.attention_norm[model, layer]
        found[f"{at}.layer_norm1.bias"] = tower.attention_shift[model, layer]
        found[f"{at}.layer_norm2.weight"] = tower.mlp_norm[model, layer]
        found[f"{at}.layer_norm2.bias"] = tower.mlp_shift[model, layer]
    return found


def _connector_views(connector: Connector, model: int) -> Weights:
    """The stack's own numbers of one model, by the names of LLaVA's projector."""
    found = {
        "linear_1.weight": connector.first[model].T,
        "linear_1.bias": connector.first_bias[model, 0],
        "linear_2.weight": connector.second[model].T,
        "linear_2.bias": connector.second_bias[model, 0],
    }
    if connector.kind == "queries":
        found["queries"] = connector.queries[model]
        for name in ("query", "key", "value"):
            found[f"{name}.weight"] = getattr(connector, name)[model].T
    return found


@torch.no_grad()
def decoder_weights(decoder: Decoder, model: int) -> Weights:
    """Return the weights of one model as `LlamaForCausalLM` names them."""
    return _copied(_decoder_views(decoder, model))


@torch.no_grad()
def tower_weights(tower: Tower, model: int) -> Weights:
    """Return the weights of one model as `CLIPVisionModel` names them."""
    d = tower.shape.width
    # The last norm is for what stands behind the whole tower alone; ours stops before it.
    unused = {"post_layernorm.weight": torch.ones(d), "post_layernorm.bias": torch.zeros(d)}
    return _copied(_tower_views(tower, model)) | unused


@torch.no_grad()
def connector_weights(connector: Connector, model: int) -> Weights:
    """Return the weights of one model as LLaVA's projector names them, and those of queries."""
    return _copied(_connector_views(connector, model))


@torch.no_grad()
def put_weights(stack: Tower | Connector | Decoder, model: int, weights: Weights) -> None:
    """Give one model of a stack weights, by the names under which they are taken out.

    Raises:
        KeyError: a weight is missing.
    """
    match stack:
        case Tower():
            views = _tower_views(stack, model)
        case Connector():
            views = _connector_views(stack, model)
        case Decoder():
            views = _decoder_views(stack, model)
    for name, view in views.items():
        view.copy_(weights[name])


def _copied(views: Weights) -> Weights:
    return {name: view.contiguous().clone() for name, view in views.items()}
