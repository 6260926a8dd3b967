"""Words of a model as text that shows what it is: nothing invisible, nothing that turns lines."""

from __future__ import annotations

import unicodedata

# Joiners build emoji and letters of some scripts; they do no harm and their loss would.
_KEPT = {"\u200c", "\u200d"}
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with control, bidirectional and broken characters written as escapes.

    Args:
        text: any string, lone surrogates included.
        lines: keep line breaks and tabs, as an answer needs, a single token doesn't.

    Returns:
        Text that UTF-8 can hold: "\u202e" for a right-to-left override, "\ud800" for a lone
        surrogate, U+FFFD as it is.
    """
    return "".join(_shown(character, lines=lines) for character in text)


def _shown(character: str, *, lines: bool) -> str:
    if character in _SHORT:
        return character if lines and character != "\r" else _SHORT[character]
    if character in _KEPT or unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
