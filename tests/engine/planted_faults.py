"""Faults that are planted in the engine, each of which the self-check must catch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from retinoscope.engine import Recording
from retinoscope.engine.recording import replayable
from retinoscope.engine.recording.layer import RecordedLayer, SelfAttention
from retinoscope.engine.recording.vocabulary import TokenInput
from retinoscope.engine.replay import decoding, sharing, suffix
from retinoscope.engine.replay import replay as replaying
from retinoscope.engine.replay.batch_rows import forked
from retinoscope.engine.replay.decoding import Decoding
from tests.engine import families

MAX_NEW_TOKENS = 6
Plant = Callable[[pytest.MonkeyPatch], None]


FAULTS: dict[str, tuple[str, Plant]] = {}
"""By name: a family, and what puts the fault into the engine."""


def fault(family: str = "llava") -> Callable[[Plant], Plant]:
    def register(plant: Plant) -> Plant:
        FAULTS[plant.__name__] = (family, plant)
        return plant

    return register


def _attending(patch: pytest.MonkeyPatch, change: Callable[..., tuple[Any, ...]]) -> None:
    """Attention gets other arguments, in replay and in decoding."""
    plain = sharing.attend

    def attend(*given: Any) -> Any:
        return plain(*change(*given))

    for module in (sharing, decoding):
        patch.setattr(module, "attend", attend)


@fault()
def mask_that_lets_all_be_read(patch: pytest.MonkeyPatch) -> None:
    _attending(patch, lambda c, prefix, own, allowed: (c, prefix, own, torch.ones_like(allowed)))


@fault("gemma3")
def sliding_window_forgotten(patch: pytest.MonkeyPatch) -> None:
    def widened(call: Any, prefix: Any, own: Any, allowed: Tensor) -> tuple[Any, ...]:
        queries, keys = allowed.shape[-2:]
        return call, prefix, own, torch.ones_like(allowed).tril(keys - queries)

    _attending(patch, widened)


@fault()
def mask_of_the_position_before(patch: pytest.MonkeyPatch) -> None:
    def shifted(call: Any, prefix: Any, own: Any, allowed: Tensor) -> tuple[Any, ...]:
        moved = allowed.roll(-1, -1)
        moved[..., 0] = True
        return call, prefix, own, moved

    _attending(patch, shifted)


@fault()
def knockouts_not_carried_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(suffix, "removed_edges", lambda *_: None)


@fault()
def knockouts_forgotten_in_generation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Decoding, "_follow", lambda *_: None)


@fault()
def knockouts_of_every_head(patch: pytest.MonkeyPatch) -> None:
    _other_heads(patch, lambda mask: mask.any(1, keepdim=True))


@fault()
def knockouts_of_another_head(patch: pytest.MonkeyPatch) -> None:
    _other_heads(patch, lambda mask: mask.roll(1, 1))


@fault()
def one_head_dropped(patch: pytest.MonkeyPatch) -> None:
    def dropped(mask: Tensor) -> Tensor:
        mask = mask.clone()
        mask[:, -1] = False
        return mask if mask.shape[1] > 1 else ~mask

    _other_heads(patch, dropped)


def _other_heads(patch: pytest.MonkeyPatch, change: Callable[[Tensor], Tensor]) -> None:
    plain = suffix.removed_edges

    def removed(*given: Any) -> Tensor | None:
        mask = plain(*given)
        return mask if mask is None or mask.shape[1] == 1 else change(mask)

    patch.setattr(suffix, "removed_edges", removed)


@fault()
def a_head_of_the_output_lost(patch: pytest.MonkeyPatch) -> None:
    plain = sharing.attend

    def attend(*given: Any) -> Any:
        output, weights = plain(*given)
        output = output.clone()
        output[:, :, -1] = 0
        return output, weights

    for module in (sharing, decoding):
        patch.setattr(module, "attend", attend)


@fault()
def positions_off_by_one(patch: pytest.MonkeyPatch) -> None:
    _positions(patch, generated=False)


@fault()
def generated_positions_off_by_one(patch: pytest.MonkeyPatch) -> None:
    _positions(patch, generated=True)


@fault("qwen2_vl")
def generated_positions_of_several_axes_off_by_one(patch: pytest.MonkeyPatch) -> None:
    _positions(patch, generated=True)


def _positions(patch: pytest.MonkeyPatch, generated: bool) -> None:
    def shifted(_: Any, layer: RecordedLayer, hidden: Tensor, at: Tensor, before: Tensor) -> Tensor:
        behind = int(at[0]) >= len(layer.allowed) - MAX_NEW_TOKENS
        return layer(hidden, (at - 1).clamp_min(0) if behind == generated else at)

    patch.setattr(SelfAttention, "step", shifted)


@fault()
def generated_tokens_never_cached(patch: pytest.MonkeyPatch) -> None:
    def stale(call: Any, prefix: Any, own: Any, allowed: Tensor) -> tuple[Any, ...]:
        fed = allowed.shape[-1] - call.query.shape[2] - prefix[0].shape[2]
        for store in own:
            if call.query.shape[2] == 1 and fed > 1:
                store[:, :, fed - 1] = store[:, :, 0]
        return call, prefix, own, allowed

    def attend(*given: Any) -> Any:
        return sharing.attend(*stale(*given))

    patch.setattr(decoding, "attend", attend)


@fault()
def cache_of_other_rows_kept(patch: pytest.MonkeyPatch) -> None:
    def keep(self: Decoding, rows: list[int]) -> None:
        self.logits = self.logits[rows]
        for store in (self.keys, self.values, self.inputs, self.removed):
            for layer, value in store.items():
                store[layer] = value[: len(rows)]

    patch.setattr(Decoding, "keep", keep)


@fault()
def clean_cache_under_a_condition(patch: pytest.MonkeyPatch) -> None:
    plain = Decoding._prefill

    def prefill(self: Decoding, *given: Any) -> None:
        before = {layer: keys.clone() for layer, keys in self.keys.items()}
        plain(self, *given)
        self.keys = before

    patch.setattr(Decoding, "_prefill", prefill)


@fault()
def the_filler_fed_for_every_token(patch: pytest.MonkeyPatch) -> None:
    plain, filler = TokenInput.at, families.AFTER[-1]

    def at(self: TokenInput, tokens: Tensor, *others: Any) -> Tensor:
        return plain(self, torch.full_like(tokens, filler), *others)

    patch.setattr(TokenInput, "at", at)


@fault("blip2")
def the_place_of_a_token_left_out(patch: pytest.MonkeyPatch) -> None:
    plain = TokenInput.at
    patch.setattr(TokenInput, "at", lambda self, *given: plain(replace(self, offset=None), *given))


@fault()
def rows_of_other_conditions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replaying, "forked", lambda *given: forked(*given).flip(0))


@fault()
def every_write_in_the_first_row(patch: pytest.MonkeyPatch) -> None:
    plain = replaying.apply

    def written(hidden: Tensor, conditions: Any, *others: Any) -> Tensor:
        whole = plain(hidden, conditions, *others)
        return whole if len(whole) < 2 else torch.cat([whole[:1], hidden[1:]])

    patch.setattr(replaying, "apply", written)


@fault()
def writes_added_twice(patch: pytest.MonkeyPatch) -> None:
    plain = replaying.apply
    patch.setattr(replaying, "apply", lambda h, *given: 2 * plain(h, *given) - h)


@fault()
def a_pass_of_several_rows_differs(patch: pytest.MonkeyPatch) -> None:
    """As layers that are told something of each position, for one row."""
    plain = RecordedLayer.__call__

    def call(layer: RecordedLayer, hidden: Tensor, at: Tensor) -> Tensor:
        return plain(layer, hidden, at)[:1].expand(len(hidden), -1, -1)

    patch.setattr(RecordedLayer, "__call__", call)


@fault("qwen3_vl")
def additions_between_layers_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Recording, "additions", {})


@fault("lfm2_vl")
def left_context_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replayable, "reach_back", lambda *_: 0)


@fault("lfm2_vl")
def left_context_of_the_clean_run(patch: pytest.MonkeyPatch) -> None:
    plain = Decoding._through

    def through(self: Decoding, layer: int, hidden: Tensor) -> Tensor:
        before = self.inputs.get(layer)
        output = plain(self, layer, hidden)
        if before is not None:
            self.inputs[layer] = before
        return output

    patch.setattr(Decoding, "_through", through)


@fault()
def final_norm_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Recording, "unembed", lambda self, hidden: self.checkpoint.parts.head(hidden))
