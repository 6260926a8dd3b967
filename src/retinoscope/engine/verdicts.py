"""What was found out about a model once need not be asked again while the model lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from transformers import PreTrainedModel


@dataclass(frozen=True)
class Verdict:
    """An answer about one model.

    Attributes:
        length: the longest sequence on which it was asked.
        reason: what is wrong, None where nothing is.
    """

    length: int
    reason: str | None


_verdicts: WeakKeyDictionary[PreTrainedModel, dict[tuple[str, str], Verdict]] = WeakKeyDictionary()


def once(
    model: PreTrainedModel, name: str, length: int, ask: Callable[[], str | None]
) -> str | None:
    """Ask on the first sequence, and again on each that is longer than all before it.

    Sliding windows, chunks and a model's own choice of keys begin at some length: what holds on a
    short prompt need not hold on a long one. A model that failed once is not asked again. Another
    attention back end is asked for itself.

    Args:
        model: the model asked about.
        name: of the question.
        length: of the sequence at hand, room included.
        ask: says what is wrong, None where nothing is.
    """
    known = _verdicts.setdefault(model, {})
    key = (name, str(model.get_decoder().config._attn_implementation))
    last = known.get(key)
    if last is None or (last.reason is None and last.length < length):
        known[key] = last = Verdict(length, ask())
    return last.reason
