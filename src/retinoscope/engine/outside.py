"""Conditions outside: in force on the model itself, or as hooks for another tool's copy of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from retinoscope.engine.edits.apply import apply, edges, removed_edges
from retinoscope.engine.edits.checks import Checked
from retinoscope.engine.edits.full import full_logits
from retinoscope.engine.edits.hooked import following, intervening
from retinoscope.engine.recording.recording import Recording
from retinoscope.engine.recording.taps import WEIGHTS
from retinoscope.errors import InterventionError
from retinoscope.interventions import Condition, Edits, Site, Write, as_condition
from retinoscope.interventions.site import hook_name

Hook = Callable[..., Tensor]
"""A hook function of TransformerLens: (state, hook) -> state."""


@contextmanager
def on_model(recording: Recording, condition: Condition) -> Iterator[nn.Module]:
    """The model with a condition in force, whoever calls it; as it was on leaving.

    Args:
        recording: of the prompt that the condition speaks of. The model may be run on it again, on
            several rows of it, or on other images in its place.
        condition: the interventions in force together; () is the clean run.

    Yields:
        The model.

    Raises:
        InterventionError: the condition can't be applied here, another prompt is run, a part of the
            prompt is run alone, or the model did not run.
        ModelError: a condition is in force on this model already.
    """
    edits = Checked(recording).edits(as_condition(condition))
    model = recording.checkpoint.model
    handle = model.register_forward_pre_hook(_same_prompt(recording), with_kwargs=True)
    try:
        with intervening(recording, edits):
            yield model
    finally:
        handle.remove()


def _same_prompt(recording: Recording) -> Any:
    """A pre-hook that refuses another prompt, whose positions would be other things."""
    expected = recording.encoded.inputs["input_ids"][0]

    def hook(_: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        ids = options.get("input_ids", args[0] if args else None)
        if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.is_floating_point():
            return  # pixels or embeddings: the first layer counts positions
        if ids.shape[-1] < len(expected):
            return  # the next of a cache's tokens, likewise
        if not bool((ids[:, : len(expected)].to(expected) == expected).all()):
            raise InterventionError(
                "The model was run on another prompt than that of the view, whose positions the "
                "condition in force names; look at that prompt, and use its view."
            )

    return hook


def transformer_lens_hooks(recording: Recording, condition: Condition) -> list[tuple[str, Hook]]:
    """A condition as hooks of TransformerLens, for `fwd_hooks` of a bridge of the same model.

    Args:
        recording: of the prompt that the bridge will be run on, alone or several rows of it.
        condition: the interventions in force together.

    Returns:
        Pairs of a hook name and a function of state and hook. Writes are at their site's hook,
        knockouts at `hook_attn_scores`.

    Raises:
        InterventionError: the condition can't be applied here, or TransformerLens can't express
            it: a site without a hook, `resid_mid`, or a path patched from another run.
    """
    edits = Checked(recording).edits(as_condition(condition))
    if any(edge.source is not None for edge in edges(edits)):
        raise InterventionError(
            "A path that is patched from another run (PathPatch) reads other keys for some queries "
            "alone, which no hook of TransformerLens can; use `with view.hooks(...)`."
        )
    if edits and recording.fallback is not None:
        full_logits(recording, edits)  # Only a pass tells whether each knockout is one.
    sites = dict.fromkeys(edit.site for edit in edits if isinstance(edit, Write))
    middle = [str(site) for site in sites if site.name == "resid_mid"]
    if middle:
        raise InterventionError(
            f"What is written to TransformerLens' hook at {middle[0]} reaches the MLP alone, while "
            "the residual stream goes on as it was; use `with view.hooks(...)`."
        )
    written = [(hook_name(site), _writing(recording, site, edits)) for site in sites]
    layers = sorted({edge.layer for edge in edges(edits)})
    scores = [Site("attn_scores", layer) for layer in layers]
    return written + [(hook_name(site), _removing(recording, site, edits)) for site in scores]


def _writing(recording: Recording, site: Site, edits: Edits) -> Hook:
    shape = recording.state_shape(site)

    def write(state: Tensor, hook: object = None) -> Tensor:
        # [batch, heads, queries, keys] there.
        ours = state.transpose(1, 2) if site.name in WEIGHTS else state
        _check_length(recording, ours.shape[1])
        keys = shape[-1] if site.name in WEIGHTS else None
        wanted = (shape[0], ours.shape[1]) if site.name in WEIGHTS else shape
        if ours.shape[2:].numel() != prod(wanted):
            raise InterventionError(
                f"TransformerLens holds {list(state.shape[2:])} at each position of "
                f"{hook_name(site)} where {site} holds {list(wanted)}."
            )
        # Some hooks have heads and their width in one dimension.
        each = ours.reshape(*ours.shape[:2], *wanted)
        changed = apply(each, [edits] * len(ours), site, range(ours.shape[1]), keys)
        changed = changed.reshape(ours.shape)
        return changed.transpose(1, 2) if site.name in WEIGHTS else changed

    return write


def _removing(recording: Recording, site: Site, edits: Edits) -> Hook:
    assert site.layer is not None
    layer = site.layer

    def remove(scores: Tensor, hook: object = None) -> Tensor:
        heads, queries, keys = scores.shape[-3:]
        _check_length(recording, queries)
        followed = following(edits, recording.length, queries - recording.length)
        gone = removed_edges([followed], layer, (heads, queries, keys))
        assert gone is not None
        return scores.masked_fill(gone.to(scores.device), torch.finfo(scores.dtype).min)

    return remove


def _check_length(recording: Recording, columns: int) -> None:
    if columns < recording.length:
        raise InterventionError(
            f"The hook was given {columns} of the prompt's {recording.length} positions; run the "
            "whole prompt, and generate with use_past_kv_cache=False."
        )
