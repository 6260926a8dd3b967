"""Every variant is trained as the catalogue says, on the same images as the others of its seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recipes.embedded.export import read_weights
from recipes.embedded.loading import DevicePool, DeviceRows
from recipes.embedded.pool import CHUNK, render_chunk, write_chunk
from recipes.embedded.render import KINDS, document
from recipes.embedded.text import text_rows, vocabulary
from recipes.embedded.words import Words
from recipes.stack.connector import ConnectorKind
from recipes.stack.optimise import Group, Optimiser
from recipes.stack.run import Runs
from recipes.stack.shape import PATCHES, Shape
from recipes.variants.catalogue import VARIANTS
from recipes.variants.families import Family, list_members, make_families
from recipes.variants.features import Features, reference_tower
from recipes.variants.measure import class_words, list_conditions, measure
from recipes.variants.train import Sizes, Source, draw_rows, family_losses, patch_classes
from retinoscope.shipped import embedded_folder

SEEN = 12
SIZES = Sizes(text=2, images=3, words=2)


@pytest.fixture(scope="module")
def words() -> Words:
    return Words(vocabulary())


@pytest.fixture(scope="module")
def source(words: Words, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """One chunk of scenes, states at random, and a few documents of every kind."""
    folder, cpu = tmp_path_factory.mktemp("scenes"), torch.device("cpu")
    write_chunk(folder, 0, render_chunk(9, 0, CHUNK, "train", words))
    pool = DevicePool(folder, CHUNK, cpu)
    pool.refresh(CHUNK)
    pool.close()
    rng = torch.Generator().manual_seed(0)
    states = torch.randn(2 * CHUNK, 1 + PATCHES, SEEN, generator=rng)
    texts = {}
    for name, kind in KINDS.items():
        texts[name] = DeviceRows(cpu)
        drawn = torch.randint(1000, (1,), generator=rng).item()
        documents = [document(kind, int(drawn), number) for number in range(6)]
        texts[name].add(text_rows(documents, words, np.random.default_rng(0)))
    return Source(pool, Features(states, CHUNK), texts, patch_classes(words, cpu))


@pytest.fixture
def families(words: Words) -> dict[ConnectorKind, Family]:
    shape = Shape(16, 2, 1, 32, 8, 16, len(words.vocabulary))
    return make_families(shape, list_members(list(VARIANTS), 2), SEEN, torch.device("cpu"))


def _each(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([value.sum() for value in losses.values()]).sum()


def test_every_variant_learns_but_the_frozen_keep_their_decoder(
    families: dict[ConnectorKind, Family], source: Source
) -> None:
    for family in families.values():
        pace = (~family.flags("frozen")).float()
        optimiser = Optimiser([Group(family.decoder, 0.01, pace), Group(family.connector, 0.01)])
        decoder, connector = family.decoder.qkv.detach().clone(), family.connector.first.detach()
        connector = connector.clone()
        losses = family_losses(family, source, SIZES, 0, Runs())
        assert all(bool(torch.isfinite(value).all()) for value in losses.values())
        _each(losses).backward()
        optimiser.step(0.0)
        moved = (family.decoder.qkv.detach() - decoder).abs().amax((1, 2, 3, 4)) > 0
        assert torch.equal(moved, ~family.flags("frozen"))
        assert bool(((family.connector.first.detach() - connector).abs().amax((1, 2)) > 0).all())


def test_who_never_saw_text_learns_nothing_from_documents(
    families: dict[ConnectorKind, Family], source: Source
) -> None:
    family = families["patches"]
    losses = family_losses(family, source, SIZES, 0, Runs())
    textless = torch.tensor([m.variant.text == "none" for m in family.members])
    assert torch.equal(losses["contexts"] == 0, textless)


def test_models_of_one_seed_see_the_same_images_and_others_do_not(
    families: dict[ConnectorKind, Family], source: Source
) -> None:
    family = families["patches"]
    batch = draw_rows(family, source.pool, 8, 5)
    for one, seen in zip(family.members, batch.image, strict=True):
        for other, too in zip(family.members, batch.image, strict=True):
            assert torch.equal(seen, too) == (one.seed == other.seed)
    whole = [bool((e == 0).all()) for e in draw_rows(family, source.pool, 64, 5).erased]
    assert whole == [not m.variant.erased for m in family.members]


def test_a_condition_changes_what_it_names(
    families: dict[ConnectorKind, Family], source: Source, words: Words
) -> None:
    family = families["patches"]
    names = class_words(words, torch.device("cpu"))
    conditions = list_conditions(8)
    found = measure(
        family, source.pool, source.features, names, torch.arange(4), conditions, probes=True
    )
    assert {each.condition for each in found} == {c.name for c in conditions}
    assert {"probe", "probe_control", "lens_strict", "accuracy"} <= {e.measure for e in found}
    for each in found:
        values = each.shares
        assert bool(((values.low <= values.value) & (values.value <= values.high)).all())


def test_all_variants_stand_behind_the_shipped_tower() -> None:
    tower = reference_tower(torch.device("cpu"))
    weights = read_weights(embedded_folder())
    assert not any(parameter.requires_grad for parameter in tower.parameters())
    last = weights["tower/encoder.layers.7.self_attn.q_proj.weight"].float().T
    assert torch.equal(tower.qkv[0, 7, 0], last)
