"""How models are spoken to: the family's form, and where an answer begins."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tiny

from retinoscope.models.encode import answer_begun
from retinoscope.models.families import llava


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("USER: what ASSISTANT:", "USER: what ASSISTANT: It is a"),
        ("<|assistant|>\n", "<|assistant|>\nIt is a"),
        ("ASSISTANT: ", "ASSISTANT: It is a"),
    ],
)
def test_an_answer_begins_behind_one_space_or_line(prompt: str, wanted: str) -> None:
    assert answer_begun(prompt, "It is a") == wanted
    assert answer_begun(prompt, "") == prompt


def test_llava_phi_is_spoken_to_in_its_own_form() -> None:
    processor = SimpleNamespace(tokenizer=tiny.tokenizer())
    assert llava.prompt(processor) == "USER: {image}\n{question} ASSISTANT:"
    processor.tokenizer.add_tokens(["<|user|>", "<|end|>", "<|assistant|>"], special_tokens=True)
    asked = llava.prompt(processor).format(image="<image>", question="Describe this image.")
    assert asked == "<|user|>\n<image>Describe this image.<|end|>\n<|assistant|>\n"
