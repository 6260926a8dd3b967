"""Token numbers of the words of the embedded model, without a tokenizer's library.

Words and marks are one token each, as `text.make_tokenizer` writes them for `transformers`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>", "<image>")
_BEFORE_MARK = re.compile(r" ([^\w\s])")
_PIECES = re.compile(r"\w+|[^\w\s]")


def pieces(text: str) -> list[str]:
    """Cut a text into words and marks."""
    return _PIECES.findall(text)


class Words:
    """Token numbers of texts; the few texts of a recipe are cut once each."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        """Number the words.

        Args:
            vocabulary: every word, the special ones first.
        """
        self.vocabulary = tuple(vocabulary)
        self.numbers = {word: number for number, word in enumerate(self.vocabulary)}
        self.pad, self.bos, self.eos, _, self.image = range(len(SPECIAL))
        self._known: dict[str, list[int]] = {}

    def __call__(self, text: str) -> list[int]:
        """Return the token numbers of a text, without special ones.

        Raises:
            KeyError: a word is not in the vocabulary.
        """
        if text not in self._known:
            self._known[text] = [self.numbers[piece] for piece in pieces(text)]
        return self._known[text]

    def context(self, words: Sequence[int]) -> list[int]:
        """Return a context as it stands at the start of a prompt."""
        return [self.bos, *self("USER:"), *words]

    def say(self, tokens: Sequence[int]) -> str:
        """Return the words of tokens, with spaces between."""
        return " ".join(self.vocabulary[token] for token in tokens)

    def write(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, with no space before a mark."""
        return _BEFORE_MARK.sub(r"\1", self.say(tokens))
