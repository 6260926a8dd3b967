"""Measure stacked variants in place: lens, answers, probes, and what breaks them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from recipes.embedded.layout import embed_rows, fit_visual
from recipes.embedded.loading import Batch, DevicePool
from recipes.embedded.pool import ROWS_OF_IMAGE
from recipes.embedded.rows import BEFORE
from recipes.embedded.words import Words
from recipes.stack.decoder import attend, lay_rows, seen_by, transform
from recipes.stack.shape import GRID
from recipes.variants.answers import chunks, right_answers
from recipes.variants.families import Family
from recipes.variants.features import Seen
from recipes.variants.probes import Scene, probe
from recipes.variants.records import Measured, shares
from retinoscope.data.scenes.classes import CLASSES, NAMES

LEAST = 0.5
"""A patch shows a thing that covers at least so much of it."""


def describe_scenes(pool: DevicePool, images: Tensor, kind: str) -> Scene:
    """Say what tokens of a kind show in images."""
    cover = pool.cover[images].float().div(255)
    names = pool.things[images][..., 0].long()
    present = (F.one_hot(names.clamp(min=0), len(NAMES)) * (names >= 0)[..., None]).amax(1) > 0
    if kind in ("queries", "class"):
        nothing = torch.full((len(images), 1), -1, device=images.device)
        nothing = nothing.expand(-1, 36 if kind == "queries" else 1)
        return Scene(nothing, nothing >= 0, nothing, present)
    side = GRID
    if kind == "pooled":
        side = GRID // 2
        cover = F.avg_pool2d(cover.unflatten(-1, (GRID, GRID)), 2).flatten(-2)
    most, thing = cover.max(1)
    shown = torch.where(most >= LEAST, torch.gather(names, 1, thing), -1)
    grown = F.max_pool2d((cover.sum(1) > 0).float().unflatten(-1, (side, side))[:, None], 3, 1, 1)
    far = grown.flatten(1) == 0
    return Scene(shown, far, torch.where(shown >= 0, thing, -1), present)


@dataclass(frozen=True)
class ClassWords:
    """Tokens of the class words.

    Attributes:
        singular, plural: token of each class.
        meaning: class of each token of the vocabulary, -1 for none.
    """

    singular: Int[Tensor, " classes"]
    plural: Int[Tensor, " classes"]
    meaning: Int[Tensor, " vocabulary"]


def class_words(words: Words, device: torch.device) -> ClassWords:
    """Look up the class words."""
    singular = [words.numbers[c.name] for c in CLASSES.values()]
    plural = [words.numbers[c.plural] for c in CLASSES.values()]
    meaning = torch.full((len(words.vocabulary),), -1)
    for number, tokens in enumerate(zip(singular, plural, strict=True)):
        meaning[list(tokens)] = number
    return ClassWords(
        torch.tensor(singular, device=device),
        torch.tensor(plural, device=device),
        meaning.to(device),
    )


@dataclass(frozen=True)
class Condition:
    """How a pass is changed at visual positions.

    Attributes:
        name: of the condition.
        mlps: layers whose MLP adds the mean of what it adds to visual tokens.
        attentions: layers whose attention adds the mean of what it adds to visual tokens.
        alone: whether visual tokens see no other visual token, in every layer.
    """

    name: str
    mlps: tuple[int, ...] = ()
    attentions: tuple[int, ...] = ()
    alone: bool = False


CLEAN = Condition("clean")


def list_conditions(layers: int) -> tuple[Condition, ...]:
    """Return the changes that say what drives the refinement."""
    return (
        CLEAN,
        *(Condition(f"mlp_{n}_mean", mlps=(n,)) for n in range(layers)),
        Condition("mlps_mean", mlps=tuple(range(layers))),
        Condition("attention_0_mean", attentions=(0,)),
        Condition("attentions_mean", attentions=tuple(range(layers))),
        Condition("visual_sees_itself", alone=True),
    )


def _run(
    family: Family, batch: Batch, visual: Tensor, condition: Condition
) -> tuple[list[Tensor], Tensor]:
    """Return the states of visual tokens at every layer, and the logits of the rows."""
    decoder = family.decoder
    x = embed_rows(decoder, batch.tokens, visual)
    models, n, length, width = x.shape
    flat = batch.flat()
    rows = lay_rows(flat.positions, flat.blocks, decoder.shape.head_width, x.dtype)
    place = slice(BEFORE, BEFORE + family.tokens)
    if condition.alone:
        rows = replace(rows, mask=_alone(flat.blocks, place, x.dtype))
    x = x.view(models, n * length, width)
    states = []

    def mean_of(added: Tensor) -> Tensor:
        rows_of = added.view(models, n, length, width).clone()
        rows_of[:, :, place] = rows_of[:, :, place].mean((1, 2), keepdim=True)
        return rows_of.view(models, n * length, width)

    for number, layer in enumerate(decoder.layers(x.dtype)):
        states.append(x.view(models, n, length, width)[:, :, place])
        added = attend(x, layer, rows)[0]
        x = x + (mean_of(added) if number in condition.attentions else added)
        added = transform(x, layer)
        x = x + (mean_of(added) if number in condition.mlps else added)
    states.append(x.view(models, n, length, width)[:, :, place])
    return states, decoder.unembed(x).view(models, n, length, -1)


def _alone(blocks: Tensor, place: slice, dtype: torch.dtype) -> Tensor:
    """Return a mask in which visual tokens see words and themselves, and no other visual token."""
    seen = seen_by(blocks)
    own = torch.eye(blocks.shape[1], dtype=torch.bool, device=blocks.device)[place, place]
    seen[:, place, place] &= own
    return torch.where(seen, 0.0, -1e4).to(dtype)[:, None]


@torch.no_grad()
def measure(
    family: Family,
    pool: DevicePool,
    features: Seen,
    words: ClassWords,
    images: Tensor,
    conditions: tuple[Condition, ...] = (CLEAN,),
    probes: bool = False,
) -> list[Measured]:
    """Measure all models of a family on images, in float32.

    Args:
        family: the models.
        pool: scenes that no model was trained on.
        features: of these scenes.
        words: tokens of the class words.
        images: which scenes.
        conditions: how passes are changed; "clean" for no change.
        probes: whether linear probes are fitted on the clean states.

    Returns:
        Values of every model with the counts behind them.
    """
    found = []
    for condition in conditions:
        tally = _Tally(family, words)
        kept: list[list[Tensor]] = []
        scenes = []
        for part in chunks(len(images)):
            some = images[part]
            models = len(family.members)
            # The first and the third row of an image ask of it whole, colours too.
            number = some * len(ROWS_OF_IMAGE)
            batch = pool.take(number.expand(models, -1))
            visual = family.connector(features.of(family, batch).float())
            scene = describe_scenes(pool, some, family.kind)
            fitted = fit_visual(batch, family.tokens)
            states, logits = _run(family, fitted, visual, condition)
            tally.lens(states, scene, full=condition == CLEAN)
            tally.answers(logits, fitted)
            if probes:
                at = scene.kind >= 0
                kept.append([state[:, at] for state in states])
                scenes.append((scene, some))
        found += tally.measured(condition.name)
        if probes and any(len(scene.kind[scene.kind >= 0]) for scene, _ in scenes):
            found += probe(kept, scenes)
    return found


class _Tally:
    """Hits and counts of each model and image."""

    def __init__(self, family: Family, words: ClassWords) -> None:
        self.family, self.words = family, words
        self.parts: dict[tuple[str, int, str], list[tuple[Tensor, Tensor]]] = {}

    def _add(self, measure: str, layer: int, task: str, hits: Tensor, there: Tensor) -> None:
        """Add hits and what could be hit: (models, images)."""
        entry = (hits.float().cpu(), there.float().expand_as(hits).cpu())
        self.parts.setdefault((measure, layer, task), []).append(entry)

    def lens(self, states: list[Tensor], scene: Scene, full: bool) -> None:
        """Count tokens that decode to the word of what they show, or of what is there at all."""
        words, kind = self.words, scene.kind
        shown = kind >= 0
        strict, plural = words.singular[kind.clamp(min=0)], words.plural[kind.clamp(min=0)]
        other = scene.present.roll(1, 0)
        for layer, state in enumerate(states):
            models, n, tokens, width = state.shape
            logits = self.family.decoder.unembed(state.reshape(models, n * tokens, width))
            best = logits.argmax(-1).view(models, n, tokens)
            named = words.meaning[best]
            exact = (best == strict) & shown
            loose = (exact | (best == plural)) & shown
            self._add("lens_strict", layer, "object", exact.sum(-1), shown.sum(-1))
            self._add("lens_lenient", layer, "object", loose.sum(-1), shown.sum(-1))
            if not full:
                continue
            everywhere = torch.ones_like(shown)
            for place, where in (("background", scene.far), ("any", everywhere)):
                for suffix, present in (("", scene.present), ("_null", other)):
                    there = torch.gather(
                        present.expand(models, -1, -1), 2, named.clamp(min=0).flatten(2)
                    )
                    hit = there & (named >= 0) & where
                    self._add(f"lens_present{suffix}", layer, place, hit.sum(-1), where.sum(-1))

    def answers(self, logits: Tensor, batch: Batch) -> None:
        """Count exchanges whose every token of the answer is the most likely one."""
        for kind, hits, there in right_answers(logits, batch):
            self._add("accuracy", -1, kind, hits, there)

    def measured(self, condition: str) -> list[Measured]:
        """Return every share with its interval."""
        found = []
        for (name, layer, task), parts in self.parts.items():
            hits = torch.cat([hit for hit, _ in parts], 1)
            there = torch.cat([count for _, count in parts], 1)
            if float(there.sum()):
                found.append(Measured(name, condition, layer, task, shares(hits, there)))
        return found
