"""What an engine relies on in the edits it is given, checked where they enter it."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from retinoscope.errors import InterventionError
from retinoscope.interventions.sites import Block, Context, Sites, Write


def check_sites(sites: object, context: Context, maker: str) -> None:
    """Refuse edits that would be carried out in part, elsewhere or not at all.

    Args:
        sites: what an intervention touches, whoever wrote it.
        context: the clean run.
        maker: the intervention's name, for the message.

    Raises:
        InterventionError: something else than writes and blocks; positions, layers or heads that
            are not ascending whole numbers within the model and the prompt; values of another
            shape than one vector for each position, or not finite in the model's precision. The
            last key of a block is left to the engine, which knows how many keys a layer has.
    """
    if type(sites) is not Sites:
        raise InterventionError(
            f"{maker}.sites() returned {sites!r}; return a Sites of writes and blocks, nothing "
            "else is carried out."
        )
    for kind, edits in ((Write, sites.writes), (Block, sites.blocks)):
        for edit in edits:
            if not isinstance(edit, kind):
                raise InterventionError(
                    f"{maker} gave {edit!r} among its {kind.__name__.lower()}s; give "
                    f"{kind.__name__} objects."
                )
    known: set[tuple[int, int | None]] = set()
    for write in sites.writes:
        _check_number(write.layer, context.layer_count + 1, f"{maker}: the layer of a write")
        _check_ascending(write.positions, context.length, f"{maker}: positions of a write", known)
        _check_values(write, context, maker)
    for block in sites.blocks:
        _check_number(block.layer, context.layer_count, f"{maker}: the layer of a block")
        _check_ascending(block.queries, context.length, f"{maker}: queries of a block", known)
        _check_ascending(block.keys, None, f"{maker}: keys of a block", known)
        if block.heads is not None:
            _check_ascending(block.heads, context.head_count, f"{maker}: heads of a block", known)


def _check_number(value: object, count: int, what: str) -> None:
    if not _whole([value]) or not 0 <= value < count:  # pyright: ignore[reportOperatorIssue]
        raise InterventionError(f"{what} is {value!r}; give a whole number of 0..{count - 1}.")


def _check_ascending(
    numbers: Sequence[int], count: int | None, what: str, known: set[tuple[int, int | None]]
) -> None:
    """A tuple that is `known`, by its identity, is not checked again: layers mostly share one."""
    if (id(numbers), count) in known:
        return
    inside = "0 or more" if count is None else f"0..{count - 1}"
    if not isinstance(numbers, tuple) or not numbers or not _whole(numbers):
        raise InterventionError(
            f"{what} are {numbers!r}; give a tuple of at least one whole number of {inside}."
        )
    if list(numbers) != sorted(set(numbers)):
        raise InterventionError(
            f"{what} are {_few(numbers)}; give them ascending, each once, since vectors and the "
            "first changed position are told by their order."
        )
    if numbers[0] < 0 or (count is not None and numbers[-1] >= count):
        raise InterventionError(f"{what} are {_few(numbers)}; give numbers of {inside}.")
    known.add((id(numbers), count))


def _whole(numbers: Sequence[object]) -> bool:
    return all(issubclass(kind, Integral) and kind is not bool for kind in set(map(type, numbers)))


def _few(numbers: tuple[int, ...]) -> str:
    return f"{list(numbers[:6])}{', ...' if len(numbers) > 6 else ''}"


def _check_values(write: Write, context: Context, maker: str) -> None:
    clean = context.residual(int(write.layer))
    wanted = (len(write.positions), clean.shape[-1])
    values = write.values
    if not isinstance(values, Tensor) or not values.is_floating_point():
        raise InterventionError(f"{maker}: values of a write are {values!r}; give a float tensor.")
    if values.shape != wanted:
        raise InterventionError(
            f"{maker}: values of a write have shape {list(values.shape)}; give {list(wanted)}, one "
            "vector for each position."
        )
    if not bool(torch.isfinite(values.to(clean.dtype)).all()):
        raise InterventionError(
            f"{maker}: values of a write are not finite in {clean.dtype}: NaN, infinity, or too "
            "large for the model's precision."
        )
