"""Rows of several exchanges: each is exactly what it is alone."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from recipes.smollm2.rows import Layout

ASKED = [("is there a dog", "yes"), ("what is it", "a red dog")]


def tokenizer() -> PreTrainedTokenizerFast:
    special = ["<|im_start|>", "<|im_end|>", "<image>", "<unk>"]
    words = "user assistant is there a dog yes what it red".split()
    kept = {word: i for i, word in enumerate([*special, *words])}
    plain = Tokenizer(models.WordLevel(kept, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    plain.add_special_tokens(special)
    return PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>")


def test_an_exchange_reads_the_image_and_itself_alone():
    layout = Layout(tokenizer(), 4)
    together, alone = layout.rows([ASKED]), layout.rows([ASKED[1:]])
    context = len(layout.context)
    behind = alone.tokens.shape[1] - context
    assert together.tokens[0, -behind:].tolist() == alone.tokens[0, context:].tolist()
    assert together.positions[0, -behind:].tolist() == alone.positions[0, context:].tolist()
    first = together.tokens.shape[1] - behind
    reads = together.allowed[0, first:]
    assert bool(reads[:, :context].all())
    assert not bool(reads[:, context:first].any())
    assert reads[:, first:].tolist() == alone.allowed[0, context:, context:].tolist()


def test_answers_and_their_ends_are_what_is_trained():
    layout = Layout(tokenizer(), 4)
    rows = layout.rows([ASKED, ASKED[:1]])
    pairs = zip(rows.tokens, rows.answers, strict=True)
    words = [layout.tokenizer.decode(row[said]) for row, said in pairs]
    assert words == ["yes <|im_end|> a red dog <|im_end|>", "yes <|im_end|>"]
