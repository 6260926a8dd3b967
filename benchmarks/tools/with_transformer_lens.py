"""TransformerLens: a TransformerBridge over the Hugging Face model, one hooked run each.

Where a model's processor can't be loaded the bridge installs torchvision by itself, and with it
another torch; pip is kept from doing so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from benchmarks.subject import Subject
from benchmarks.work import Change, Exchange

os.environ["PIP_NO_INDEX"] = "1"


class Tool:
    """Hooks of a bridge: attention scores before the softmax, and the residual stream."""

    whole = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.norm, self.head = subject.model.get_decoder().norm, subject.model.lm_head
        self.bridge = TransformerBridge.boot_transformers(
            subject.model.config._name_or_path,
            hf_model=subject.model,
            dtype=torch.float32,
            device="cpu",
        )
        self.inputs = {
            "input": subject.inputs["input_ids"],
            "pixel_values": subject.inputs["pixel_values"],
            "return_type": "logits",
        }

    @torch.no_grad()
    def next_token(self, changes: Sequence[Change]) -> Tensor:
        """One hooked run each."""
        mean = None
        if any(change.ablate for change in changes):
            name = "blocks.0.hook_in"
            _, cache = self.bridge.run_with_cache(**self.inputs, names_filter=name)
            mean = cache[name][0, self.subject.visual].mean(0)
        source = self._source(changes)
        hooked = (
            self.bridge.run_with_hooks(**self.inputs, fwd_hooks=self._hooks(change, mean, source))
            for change in changes
        )
        return torch.stack([logits[0, -1] for logits in hooked])

    @torch.no_grad()
    def lens(self, top: int) -> Tensor:
        """All states from one cache, all logits at once."""
        names = ["blocks.0.hook_in"]
        names += [f"blocks.{index}.hook_out" for index in range(self.subject.layers)]
        _, cache = self.bridge.run_with_cache(
            **self.inputs, names_filter=lambda name: name in names
        )
        states = torch.stack([cache[name][0, self.subject.visual] for name in names])
        return self.head(self.norm(states)).topk(top).indices

    def _source(self, changes: Sequence[Change]) -> dict[str, Tensor]:
        """States of the run on the other image, of those sites that are exchanged."""
        names = {_name(one.exchange) for one in changes if one.exchange is not None}
        if not names:
            return {}
        other = {**self.inputs, "pixel_values": self.subject.other["pixel_values"]}
        _, cache = self.bridge.run_with_cache(**other, names_filter=lambda name: name in names)
        return {name: cache[name] for name in names}

    def _hooks(
        self, change: Change, mean: Tensor | None, source: dict[str, Tensor]
    ) -> list[tuple[str, Any]]:
        spot, one = change.cut, change.exchange
        if one is not None:
            name, where = _name(one), list(one.positions)

            def exchange(state: Tensor, hook: Any) -> Tensor:
                state = state.clone()
                if one.head is None:
                    state[:, where] = source[name][:, where]
                else:
                    state[:, where, one.head] = source[name][:, where, one.head]
                return state

            return [(name, exchange)]
        if spot is None:

            def ablate(hidden: Tensor, hook: Any) -> Tensor:
                hidden = hidden.clone()
                hidden[:, list(change.ablate)] = mean
                return hidden

            return [("blocks.0.hook_in", ablate)]

        def cut(scores: Tensor, hook: Any) -> Tensor:
            scores = scores.clone()
            for head in range(scores.shape[1]) if spot.heads is None else spot.heads:
                for query in spot.queries:
                    scores[:, head, query, list(spot.keys)] = torch.finfo(scores.dtype).min
            return scores

        return [(f"blocks.{layer}.attn.hook_attn_scores", cut) for layer in spot.layers]


def _name(one: Exchange) -> str:
    return f"blocks.{one.layer}.{'hook_in' if one.head is None else 'attn.hook_z'}"
