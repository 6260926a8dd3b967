"""Scores computed again with plain hooks and full matrices, sharing no code with the package."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class PlainRun:
    """One eager run of a tiny LLaVA with everything that scores are made of."""

    def __init__(self, model: Any, inputs: dict[str, Tensor], contrast: tuple[int, int]) -> None:
        self.layers = model.model.language_model.layers
        self.heads = model.config.text_config.num_attention_heads
        self.values: list[Tensor] = []
        self.entered: list[Tensor] = []
        self.left: list[Tensor] = []
        hooks = []
        for layer in self.layers:
            hooks.append(layer.self_attn.v_proj.register_forward_hook(self._value))
            hooks.append(layer.register_forward_hook(self._layer, with_kwargs=True))
        model.zero_grad()
        out = model(**inputs, output_attentions=True)
        for hook in hooks:
            hook.remove()
        self.attention = [one[0].detach() for one in out.attentions]
        difference = out.logits[0, -1, contrast[0]] - out.logits[0, -1, contrast[1]]
        found = torch.autograd.grad(difference, [*out.attentions, self.entered[0]])
        self.slopes, self.at_input = [one[0] for one in found[:-1]], found[-1][0]
        self.length = out.logits.shape[1]

    def _value(self, _module: Any, _args: Any, output: Tensor) -> None:
        groups = output[0].unflatten(-1, (-1, output.shape[-1] // 2)).transpose(0, 1)
        self.values.append(groups.repeat_interleave(self.heads // 2, 0).detach())

    def _layer(self, _module: Any, args: Any, options: Any, output: Any) -> None:
        self.entered.append(args[0] if args else options["hidden_states"])
        self.left.append(output[0] if isinstance(output, tuple) else output)

    def rollout(self, residual: float = 0.5) -> Tensor:
        """The whole product of mixed attention."""
        product = torch.eye(self.length)
        for weights in self.attention:
            mixed = (1 - residual) * weights.mean(0) + residual * torch.eye(self.length)
            product = mixed @ product
        return product

    def chefer(self) -> Tensor:
        """R, as the authors write it."""
        relevance = torch.eye(self.length)
        for weights, slopes in zip(self.attention, self.slopes, strict=True):
            relevance = relevance + (slopes * weights).clamp(min=0).mean(0) @ relevance
        return relevance

    def alti(self) -> Tensor:
        """The product of contributions, part by part."""
        product = torch.eye(self.length)
        for index, layer in enumerate(self.layers):
            product = self._alti_layer(index, layer) @ product
        return product

    def _alti_layer(self, index: int, layer: Any) -> Tensor:
        weights, values = self.attention[index], self.values[index]
        stream = self.entered[index][0].detach()
        matrix = layer.self_attn.o_proj.weight.detach()
        width = values.shape[-1]
        found = torch.zeros(self.length, self.length)
        for query in range(self.length):
            parts = torch.zeros(self.length, stream.shape[-1])
            for head in range(self.heads):
                block = matrix[:, head * width : (head + 1) * width]
                parts += weights[head, query, :, None] * (values[head] @ block.T)
            parts[query] += stream[query]
            whole = parts.sum(0)
            near = whole.abs().sum() - (whole - parts).abs().sum(-1)
            found[query] = near.clamp(min=0)
            found[query, query + 1 :] = 0
        return found / found.sum(-1, keepdim=True)

    def zeroing(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """The product of value zeroing's scores, a whole run of the model for each value."""
        product = torch.eye(self.length, dtype=torch.float64)
        for index, layer in enumerate(self.layers):
            found = torch.zeros(self.length, self.length, dtype=torch.float64)
            for at in range(self.length):
                found[:, at] = self._turned(model, inputs, index, layer, at)
            found = found.tril()
            product = (found / found.sum(-1, keepdim=True)) @ product
        return product

    def _turned(self, model: Any, inputs: Any, index: int, layer: Any, at: int) -> Tensor:
        seen: list[Tensor] = []

        def zero(_module: Any, _args: Any, output: Tensor) -> Tensor:
            output = output.clone()
            output[:, at] = 0
            return output

        def keep(_module: Any, _args: Any, output: Any) -> None:
            seen.append(output[0] if isinstance(output, tuple) else output)

        hooks = [
            layer.self_attn.v_proj.register_forward_hook(zero),
            layer.register_forward_hook(keep),
        ]
        with torch.no_grad():
            model(**inputs)
        for hook in hooks:
            hook.remove()
        clean = self.left[index][0].detach().double()
        return 1 - torch.cosine_similarity(seen[0][0].double(), clean, dim=-1)
