"""Laws of evaluating conditions: exact, and only what they can change is computed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from retinoscope.engine import Recording, evaluate, record
from retinoscope.errors import InterventionError
from retinoscope.interventions import Ablate, Condition, Edge, Knockout, Patch, Steer, resolve
from retinoscope.models import Checkpoint
from tests.engine import families
from tests.engine.conditions import Cut, conditions
from tests.engine.oracle import oracle


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(*families.build("llava"))


@contextmanager
def calls_of(checkpoint: Checkpoint) -> Iterator[list[tuple[int, int, int]]]:
    """(layer, rows, positions) of every call of a decoder layer."""
    seen: list[tuple[int, int, int]] = []

    def note(index: int):
        def hook(_: nn.Module, args: tuple, options: dict) -> None:
            hidden = args[0] if args else options["hidden_states"]
            seen.append((index, hidden.shape[0], hidden.shape[1]))

        return hook

    hooks = [
        layer.register_forward_pre_hook(note(index), with_kwargs=True)
        for index, layer in enumerate(checkpoint.parts.layers)
    ]
    yield seen
    for hook in hooks:
        hook.remove()


def last(recording: Recording) -> int:
    return recording.length - 1


def test_the_empty_condition_is_free(recording: Recording) -> None:
    with calls_of(recording.checkpoint) as seen:
        found = evaluate(recording, [(), ()]).logits
    assert seen == []
    assert torch.equal(found, recording.logits.expand(2, -1))


def test_only_the_cone_runs(recording: Recording) -> None:
    with calls_of(recording.checkpoint) as seen:
        evaluate(recording, [(Knockout([last(recording)], [5, 6], [2]),)])
    assert seen == [(2, 1, 1), (3, 1, 1)]
    with calls_of(recording.checkpoint) as seen:
        evaluate(recording, [(Patch([10], 3, torch.zeros(64)),)])
    # In the last layer all give keys, and the last position alone is carried to the end.
    assert seen == [(3, 1, recording.length - 10), (3, 1, 1)]
    with calls_of(recording.checkpoint) as seen:
        evaluate(recording, [(Patch([10], 4, torch.ones(64)),)])
    assert seen == []


def test_conditions_fork_where_they_part(recording: Recording) -> None:
    query, keys = [last(recording)], [5, 6]
    ablation = Ablate([20], "zero")
    given: list[Condition] = [
        (Knockout(query, keys, [1]),),
        (Knockout(query, keys, [1, 2]),),
        (Knockout(query, keys, [1, 2, 3]),),
        (Knockout(query, [7], [3]),),
    ]
    with calls_of(recording.checkpoint) as seen:
        evaluate(recording, given)
    assert seen == [(1, 1, 1), (2, 2, 1), (3, 4, 1)]
    both: list[Condition] = [(ablation,), (ablation, Knockout(query, keys, [3]))]
    with calls_of(recording.checkpoint) as seen:
        evaluate(recording, both)
    assert [rows for _, rows, _ in seen] == [1, 1, 1, 2, 2]


def test_every_position_can_be_asked_for(recording: Recording) -> None:
    given = [one for kind in conditions(recording).values() for one in kind]
    where = [0, 9, recording.length - 3, last(recording)]
    found = evaluate(recording, given, positions=where).logits
    for one, rows in zip(given, found, strict=True):
        sites = resolve(one, recording)
        expected = oracle(recording.checkpoint, recording.encoded, sites)[where]
        assert torch.allclose(rows, expected, atol=1e-5)
    alone = evaluate(recording, given).logits
    assert torch.allclose(found[:, -1], alone, atol=1e-6)


@pytest.mark.parametrize("memory", [1, 2**16, 2**20])
def test_the_size_of_a_pass_changes_nothing(recording: Recording, memory: int) -> None:
    given = [one for kind in conditions(recording).values() for one in kind]
    whole = evaluate(recording, given).logits
    assert torch.allclose(evaluate(recording, given, memory=memory).logits, whole, atol=1e-5)


def test_passes_are_halved_until_they_fit(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = [last(recording)]
    given: list[Condition] = [(Knockout(query, [key], [1]),) for key in range(1, 11)]
    expected = evaluate(recording, given).logits
    sizes: list[int] = []
    evaluation = importlib.import_module("retinoscope.engine.evaluate")
    run = evaluation._changed

    def small(rec: Recording, sites: Sequence, *rest):
        sizes.append(len(sites))
        if len(sites) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return run(rec, sites, *rest)

    monkeypatch.setattr(evaluation, "_changed", small)
    assert torch.allclose(evaluate(recording, given).logits, expected, atol=1e-6)
    assert sizes == [10, 5, 2, 2, 2, 2, 2]

    def never(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(evaluation, "_changed", never)
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(recording, given)


def test_margin_and_probability(recording: Recording) -> None:
    outcome = evaluate(recording, [(), (Ablate([5], "zero"),)])
    ordered = outcome.logits.sort(-1, descending=True).values
    assert torch.equal(outcome.margin, ordered[:, 0] - ordered[:, 1])
    assert torch.allclose(outcome.probability.sum(-1), torch.ones(2))


def test_no_condition_gives_no_row(recording: Recording) -> None:
    assert evaluate(recording, []).logits.shape == (0, families.VOCABULARY)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ((Ablate([], "zero"),), "empty set"),
        ((Ablate([10_000], "zero"),), "but the sequence has"),
        ((Knockout([25], [3], [99]),), "layers"),
        ((Knockout([25], [3], [1], heads=[99]),), "heads"),
        ((Knockout([5], [9], [1]),), "finds no edge at"),
        ((Knockout([25], range(26), [1]),), "any key to read"),
        ((Knockout([25], range(0, 26, 2), [1]), Knockout([25], range(1, 26, 2), [1])), "any key"),
        ((Cut((Edge(1, (25,), (99,)),)),), "has keys"),
        ((Cut(()),), "changes nothing"),
    ],
)
def test_what_cannot_take_effect_is_refused(
    recording: Recording, condition: Condition, message: str
) -> None:
    with pytest.raises(InterventionError, match=message):
        evaluate(recording, [condition])


def test_positions_outside_the_sequence_are_refused(recording: Recording) -> None:
    with pytest.raises(InterventionError, match="positions"):
        evaluate(recording, [()], positions=[10_000])


def test_a_layer_without_attention_has_no_edges() -> None:
    recording = record(*families.build("lfm2_vl"))
    with pytest.raises(InterventionError, match="without attention"):
        evaluate(recording, [(Knockout([last(recording)], [3], [0]),)])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llava", "gemma3", "qwen2_vl"])
def test_half_precision_agrees_to_its_rounding(name: str, dtype: torch.dtype) -> None:
    checkpoint, encoded = families.build(name, dtype)
    recording = record(checkpoint, encoded)
    assert recording.fallback is None
    given = conditions(recording)["ablation"] + conditions(recording)["last position"]
    outcome = evaluate(recording, given)
    assert outcome.logits.dtype == torch.float32
    for one, found, margin in zip(given, outcome.logits, outcome.margin, strict=True):
        expected = oracle(checkpoint, encoded, resolve(one, recording))[-1]
        close = 0.05 * float(expected.abs().max())
        assert float((found - expected).abs().max()) < close
        assert found.argmax() == expected.argmax() or float(margin) < 2 * close


def test_steering_adds_up(recording: Recording) -> None:
    vector = torch.randn(64, generator=torch.Generator().manual_seed(1))
    twice = evaluate(recording, [(Steer([8], 1, vector), Steer([8], 1, vector))]).logits
    double = evaluate(recording, [(Steer([8], 1, vector, scale=2.0),)]).logits
    assert torch.allclose(twice, double, atol=1e-5)
