"""What an engine relies on in the edits it is given, checked where they enter it."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from retinoscope.errors import InterventionError
from retinoscope.interventions.edits import Context, Edge, Source, Write
from retinoscope.interventions.site import Site


def check_edits(edits: object, context: Context, maker: str) -> None:
    """Refuse edits that would be carried out in part, elsewhere or not at all.

    Args:
        edits: what an intervention does, whoever wrote it.
        context: the clean run.
        maker: the intervention's name, for the message.

    Raises:
        InterventionError: something else than a tuple of writes and edges; a site that the model
            has not; positions, layers or heads that are not ascending whole numbers within the
            model and the prompt; values of another shape than the site's, or not finite in the
            model's precision. The last key of an edge is left to the engine, which knows how many
            keys a layer has.
    """
    if type(edits) is not tuple or not all(isinstance(e, Write | Edge) for e in edits):
        raise InterventionError(
            f"{maker}.edits() returned {edits!r}; return a tuple of Write and Edge objects, "
            "nothing else is carried out."
        )
    known: set[tuple[int, int | None]] = set()
    for edit in edits:
        if isinstance(edit, Write):
            _check_site(edit, context, maker)
            _check_ascending(
                edit.positions, context.length, f"{maker}: positions of a write", known
            )
            _check_values(edit, context, maker)
            continue
        _check_number(edit.layer, context.layer_count, f"{maker}: the layer of an edge")
        _check_ascending(edit.queries, context.length, f"{maker}: queries of an edge", known)
        _check_ascending(edit.keys, None, f"{maker}: keys of an edge", known)
        if edit.heads is not None:
            _check_ascending(edit.heads, context.head_count, f"{maker}: heads of an edge", known)
        if edit.source is not None:
            _check_source(edit, edit.source, context, maker)


def _check_site(write: Write, context: Context, maker: str) -> None:
    if not isinstance(write.site, Site):
        raise InterventionError(f"{maker}: the site of a write is {write.site!r}; give a Site.")
    if write.site.layer is not None:
        _check_number(write.site.layer, context.layer_count, f"{maker}: the layer of a write")


def _check_source(edge: Edge, source: Source, context: Context, maker: str) -> None:
    for name, given in (("key", source.keys), ("value", source.values)):
        groups, width = context.state_shape(Site(name, edge.layer))
        wanted = (groups, len(edge.keys), width)
        if not isinstance(given, Tensor) or given.shape != wanted:
            shape = list(given.shape) if isinstance(given, Tensor) else given
            raise InterventionError(
                f"{maker}: the {name}s of an edge's source have shape {shape}; give "
                f"{list(wanted)}: groups of heads, keys of the edge, width."
            )
        if not bool(torch.isfinite(given.to(context.residual(0).dtype)).all()):
            raise InterventionError(f"{maker}: the {name}s of an edge's source are not finite.")


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
    kinds = set(map(type, numbers))
    return kinds == {int} or all(issubclass(k, Integral) and k is not bool for k in kinds)


def _few(numbers: tuple[int, ...]) -> str:
    return f"{list(numbers[:6])}{', ...' if len(numbers) > 6 else ''}"


def _check_values(write: Write, context: Context, maker: str) -> None:
    shape = context.state_shape(write.site)
    wanted = (len(write.positions), *shape)
    value = write.value
    if not isinstance(value, Tensor) and callable(value):
        return
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise InterventionError(
            f"{maker}: the value of a write is {value!r}; give a float tensor, or a function of "
            "the state."
        )
    if value.shape != wanted:
        raise InterventionError(
            f"{maker}: the value of a write has shape {list(value.shape)}; give {list(wanted)}, "
            f"what {write.site} holds at each position."
        )
    dtype = context.residual(0).dtype
    if not bool(torch.isfinite(value.to(dtype)).all()):
        raise InterventionError(
            f"{maker}: the value of a write is not finite in {dtype}: NaN, infinity, or too large "
            "for the model's precision."
        )
