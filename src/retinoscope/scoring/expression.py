"""Interventions as text, such as "Ablate(tokens.row(-1))": read by a small grammar, never run.

interventions   Ablate(tokens, value), Knockout(queries, keys, layers, heads), several as a tuple
token sets      tokens, text, last, objects (annotated), background (the rest, one patch away)
of them         a | b, a & b, a - b, ~a, .row(-1), .box(x0, y0, x1, y1), .word("dog"), .at(5),
                .dilate(1), .boundary(), .draw(20, 0)
values          numbers, texts, lists, Noise(seed), range(3, 8), layers (all of them)
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from retinoscope.api import View
from retinoscope.data import Sample, object_mask
from retinoscope.errors import DataError, RetinoscopeError
from retinoscope.interventions import Ablate, Condition, Knockout, Noise, as_condition
from retinoscope.tokens import TokenSet, at

LONGEST = 1000
"""Characters of an expression."""

LARGEST = 1_000_000
"""Largest number in one."""

_CALLS: Mapping[str, Callable[..., Any]] = {
    "Ablate": Ablate,
    "Knockout": Knockout,
    "Noise": Noise,
    "range": range,
}
_METHODS = ("row", "box", "word", "at", "dilate", "boundary", "draw")
_NAMES = ("tokens", "text", "last", "objects", "background", "layers")
_BINARY = {ast.BitOr: operator.or_, ast.BitAnd: operator.and_, ast.Sub: operator.sub}
_UNARY = {ast.Invert: operator.invert, ast.USub: operator.neg}


@dataclass(frozen=True)
class Expression:
    """Interventions as text that was checked, to be made for any view.

    Attributes:
        text: as it was given.
        body: its syntax tree.
        names: the token sets that it names.
    """

    text: str
    body: ast.expr
    names: frozenset[str]

    def on(self, view: View, sample: Sample) -> Condition:
        """The condition for one view.

        Args:
            view: of one image.
            sample: the image's annotations, for `objects` and `background`.

        Raises:
            DataError: it does not make interventions.
            RetinoscopeError: a token set can't be had of this image.
        """
        known = {name: _token_set(name, view, sample) for name in self.names}
        try:
            return as_condition(_value(self.body, known))
        except RetinoscopeError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{self.text!r} can't be made: {error}. {_EXPECTED}") from error


_EXPECTED = (
    "Expected interventions such as Ablate(objects.dilate(1)), Ablate(tokens.row(-1), 'zero') or "
    f"Knockout(last, objects, range(3, 8)), of {', '.join(_CALLS)}; token sets "
    f"{', '.join(_NAMES)}; and their .{', .'.join(_METHODS)}, |, &, -, ~."
)


def parse(text: str) -> Expression:
    """Read an expression; nothing of it is run, and nothing but the grammar is taken.

    Raises:
        DataError: it is no such expression; the message says where, and what is expected.
    """
    if len(text) > LONGEST:
        raise DataError(f"An expression has at most {LONGEST} characters; got {len(text)}.")
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"{text!r} can't be read ({error}). {_EXPECTED}") from error
    names: set[str] = set()
    _check(text, body, names)
    top = body.elts if isinstance(body, ast.Tuple | ast.List) else [body]
    for one in top:
        if not (isinstance(one, ast.Call) and ast.unparse(one.func) in ("Ablate", "Knockout")):
            raise DataError(f"{ast.unparse(one)!r} is not an intervention. {_EXPECTED}")
    return Expression(text, body, frozenset(names))


def _check(text: str, node: ast.expr, names: set[str]) -> None:
    """Make sure that a node and all within are of the grammar; gather the names."""
    within: list[ast.expr] = []
    match node:
        case ast.Call(ast.Name(name), args, keywords) if name in _CALLS:
            within = [*args, *(one.value for one in keywords if one.arg)]
        case ast.Call(ast.Attribute(owner, name), args, keywords) if name in _METHODS:
            within = [owner, *args, *(one.value for one in keywords if one.arg)]
        case ast.Name(name) if name in _NAMES:
            names.add(name)
        case ast.List(elements) | ast.Tuple(elements):
            within = elements
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            within = [left, right]
        case ast.UnaryOp(op, operand) if type(op) in _UNARY:
            within = [operand]
        case ast.Constant(str()):
            pass
        case ast.Constant(int() | float() as number) if abs(number) <= LARGEST:
            pass
        case _:
            raise DataError(f"{ast.unparse(node)!r} in {text!r} is not taken. {_EXPECTED}")
    if isinstance(node, ast.Call) and any(one.arg is None for one in node.keywords):
        raise DataError(f"{ast.unparse(node)!r}: ** is not taken. {_EXPECTED}")
    for one in within:
        _check(text, one, names)


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """What a checked node stands for."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return known[name]
        case ast.List(elements):
            return [_value(one, known) for one in elements]
        case ast.Tuple(elements):
            return tuple(_value(one, known) for one in elements)
        case ast.BinOp(left, op, right):
            return _BINARY[type(op)](_value(left, known), _value(right, known))
        case ast.UnaryOp(op, operand):
            return _UNARY[type(op)](_value(operand, known))
        case ast.Call(function, args, keywords):
            if isinstance(function, ast.Name):
                called = _CALLS[function.id]
            else:
                assert isinstance(function, ast.Attribute)  # _check took nothing else
                called = getattr(_value(function.value, known), function.attr)
            named = {str(one.arg): _value(one.value, known) for one in keywords}
            return called(*(_value(one, known) for one in args), **named)
    raise AssertionError(ast.dump(node))  # _check took nothing else


def _token_set(name: str, view: View, sample: Sample) -> Any:
    match name:
        case "tokens":
            return view.tokens
        case "text":
            return view.tokens.text
        case "last":
            return view.last
        case "layers":
            return range(view.recording.layer_count)
        case "background":
            return view.tokens.visual - _objects(view, sample).dilate(1)
    return _objects(view, sample)


def _objects(view: View, sample: Sample) -> TokenSet:
    """The visual tokens under any annotated object."""
    found = at(view.recording.layout, ())
    for one in sample.annotations:
        found |= view.tokens.under(object_mask(sample, one))
    return found
